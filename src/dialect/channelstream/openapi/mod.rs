//! `/openapi.json`: a description of every HTTP endpoint, after OpenAPI 3.1. Those of Pusher and
//! Pushi are in it, too, whether or not they are served.
//!
//! One table says what there is ([`table`]), one what bodies look like ([`schemas`]), each with
//! rows of the others' from [`pusher`] and [`pushi`]; `write` turns all into a document. Limits come from
//! [`crate::limits`], so the document changes when they do. Tests walk the tables in both
//! directions: what is described is routed and read, what is routed and read is described.

mod pusher;
mod pushi;
mod schemas;
mod table;
#[cfg(test)]
mod tests;
mod write;

use crate::transport::http::Response;

/// The document, as seen by a caller in front of whose paths a proxy puts `prefix`.
pub(super) fn answer(prefix: &str) -> Response {
    let document = write::document(prefix);
    Response::json(200, document.to_string()).with("Cache-Control", "no-cache")
}
