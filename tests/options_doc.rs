//! `docs/options.md` is what the table of options says.

use std::fs;
use std::path::Path;

#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/options.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == fanwire::options::document(),
        "docs/options.md is stale; run: \
         cargo run -- config explain --all --markdown > docs/options.md"
    );
}
