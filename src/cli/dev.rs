//! What `fanwire dev` prints: where the page is, and lines to copy.

use fanwire::options::Config;
use std::io::Write as _;

/// Greets whoever started `fanwire dev`.
pub(crate) fn greet(origin: &str, config: &Config, signature: &str) {
    let secret = config.channelstream.secret.expose();
    let text = format!(
        "\n  fanwire dev — for development only: the secret is known to everybody.\n\n\
         \x20 open      {origin}/\n\
         \x20 secret    {secret}\n\n\
         \x20 publish   curl -H 'x-channelstream-secret: {signature}' \\\n\
         \x20             -d '[{{\"user\":\"curl\",\"channel\":\"playground\",\"message\":{{\"text\":\"hello\"}}}}]' \\\n\
         \x20             {origin}/message\n\n\
         \x20 metrics   {origin}/metrics\n\n"
    );
    // A closed terminal is no reason not to serve.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
