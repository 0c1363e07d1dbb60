//! stub
use crate::store::Trouble;
use crate::transport::http::Response;
pub fn storage(_why: Trouble) -> Response {
    Response::json(503, "{}")
}
pub fn busy() -> Response {
    Response::json(503, "{}")
}
pub fn success() -> Response {
    Response::json(200, "{\"result\":\"success\"}")
}
