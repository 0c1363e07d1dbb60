//! stub
use super::speaker::Pushi;
use crate::dialect::{Ctx, Reply};
use crate::transport::http::{Request, Response};
impl Pushi {
    pub(super) fn refuse(&self, s: u16, _n: &str, _m: &str, _ctx: &mut Ctx<'_>) -> Response {
        Response::json(s, "{}")
    }
    pub(super) fn admit_rest(&self, _h: &Request<'_>, _ctx: &Ctx<'_>) -> Result<usize, Response> {
        Ok(1000)
    }
    pub(super) fn rest(&self, _r: &Request<'_>, _ctx: &mut Ctx<'_>) -> Reply {
        Response::json(404, "{}").into()
    }
}
