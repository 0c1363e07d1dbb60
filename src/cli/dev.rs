//! What `fanwire dev` prints: where the page is, and lines to copy; and the folder of its store.

use fanwire::options::{App, Config};
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder that [`make_folder`] made; there is one server in a process.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Makes a folder for what the server stores until it stops, for the user's eyes only.
///
/// # Errors
/// When there is no room for it, or no permission.
pub(crate) fn make_folder() -> io::Result<&'static Path> {
    if let Some(folder) = FOLDER.get() {
        return Ok(folder);
    }
    let random = super::random::<8>().map_err(io::Error::other)?;
    let name = format!("fanwire-dev-{:016x}", u64::from_ne_bytes(random));
    let folder = std::env::temp_dir().join(name);
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(FOLDER.get_or_init(|| folder))
}

/// Removes the folder, if one was made. Nothing that uses it may run any more, or need it again.
pub(crate) fn remove_folder() {
    if let Some(folder) = FOLDER.get()
        && let Err(error) = fs::remove_dir_all(folder)
    {
        log::warn!("{} stays: {error}", folder.display());
    }
}

/// Greets whoever started `fanwire dev`. `pusher` and `pushi` are the apps that these protocols are
/// served for, if they are.
pub(crate) fn greet(
    origin: &str,
    config: &Config,
    signature: &str,
    pusher: Option<&App>,
    pushi: Option<&App>,
) {
    let secret = config.channelstream.secret.expose();
    let pusher = pusher.map_or(String::new(), |app| pusher_lines(origin, app));
    let pushi = pushi.map_or(String::new(), |app| pushi_lines(origin, app));
    let text = format!(
        "\n  fanwire dev — for development only: the secrets are known to everybody.\n\n\
         \x20 open      {origin}/\n\
         \x20 secret    {secret}\n\n\
         \x20 publish   curl -H 'x-channelstream-secret: {signature}' \\\n\
         \x20             -d '[{{\"user\":\"curl\",\"channel\":\"playground\",\"message\":{{\"text\":\"hello\"}}}}]' \\\n\
         \x20             {origin}/message\n\n\
         {pusher}\
         {pushi}\
         \x20 metrics   {origin}/metrics\n\n"
    );
    // A closed terminal is no reason not to serve.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// How to reach the app with pusher-js, and how to publish as an application does.
fn pusher_lines(origin: &str, app: &App) -> String {
    let address = origin.strip_prefix("http://").unwrap_or(origin);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    let (id, key, secret) = (&app.id, &app.key, app.secret.expose());
    format!(
        "\x20 pusher    app {id}, key {key}, secret {secret}\n\
         \x20           const pusher = new Pusher('{key}', {{ wsHost: '{host}', wsPort: {port}, cluster: 'dev',\n\
         \x20             forceTLS: false, enabledTransports: ['ws', 'wss'] }});\n\
         \x20           pusher.subscribe('playground').bind('hello', console.log);\n\n\
         \x20 publish   body='{{\"name\":\"hello\",\"channel\":\"playground\",\"data\":\"hi\"}}'; curl -d \"$body\" \\\n\
         \x20             \"{origin}$(printf %s \"$body\" | fanwire sign request --key {key} \\\n\
         \x20             --secret {secret} --body - POST /apps/{id}/events)\"\n\n"
    )
}

/// How to reach the app with pushi.js, and how to log in and publish as an application does.
fn pushi_lines(origin: &str, app: &App) -> String {
    let sockets = origin.replacen("http", "ws", 1);
    let (id, key, secret) = (&app.id, &app.key, app.secret.expose());
    format!(
        "\x20 pushi     app {id}, key {key}, secret {secret}\n\
         \x20           const pushi = new Pushi('{key}', {{ baseUrl: '{sockets}/' }});\n\
         \x20           pushi.bind('connect', () => pushi.subscribe('playground'));\n\
         \x20           pushi.bind('hello', (event, data) => console.log(data));\n\n\
         \x20 publish   sid=$(curl -s '{origin}/login?app_id={id}&app_key={key}&app_secret={secret}' | cut -d '\"' -f 4); \\\n\
         \x20             curl -H \"x-session-id: $sid\" -H 'content-type: application/json' \\\n\
         \x20             -d '{{\"event\":\"hello\",\"channel\":\"playground\",\"data\":\"hi\"}}' {origin}/events\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_pusher_name_the_address_and_the_keys() {
        let (text, key) = (
            pusher_lines("http://127.0.0.1:8000", &App::dev()),
            App::dev().key,
        );
        for piece in [
            &*format!("new Pusher('{key}', {{ wsHost: '127.0.0.1', wsPort: 8000, cluster: 'dev',"),
            &format!("--key {key} \\\n"),
            "POST /apps/1/events)\"",
        ] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
        let text = pusher_lines("http://[::1]:9", &App::dev());
        assert!(text.contains("wsHost: '[::1]', wsPort: 9,"), "{text}");
    }

    #[test]
    fn lines_for_pushi_log_in_and_publish() {
        let (text, key) = (pushi_lines("http://[::1]:9", &App::dev()), App::dev().key);
        for piece in [
            &*format!("new Pushi('{key}', {{ baseUrl: 'ws://[::1]:9/' }});"),
            &format!("'http://[::1]:9/login?app_id=1&app_key={key}&app_secret=dev-secret'"),
            "http://[::1]:9/events\n",
        ] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
    }
}
