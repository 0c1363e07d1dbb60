//! stub
#![allow(missing_docs)]
use crate::store::{AppRow, Write};
use crate::transport::http::Request;
use std::borrow::Cow;
#[derive(Debug, Default)]
pub struct EndedSessions;
impl EndedSessions {
    pub fn load(&mut self, _s: [u8; 32], _u: u64) {}
    pub fn has(&self, _s: &Sid) -> bool {
        false
    }
    pub fn end(&mut self, _s: &Sid, _now: u64) -> Vec<Write> {
        vec![]
    }
}
pub struct Sid;
impl Sid {
    pub fn parse(_: &str) -> Option<Self> {
        None
    }
    pub fn app(&self) -> AppRow {
        AppRow(1)
    }
    pub fn issued_s(&self) -> u64 {
        0
    }
    pub fn check(&self, _s: &str, _n: u64) -> bool {
        false
    }
}
pub fn issue(_a: AppRow, _s: &str, _u: u64, _r: [u8; 16]) -> [u8; 32] {
    [0; 32]
}
pub fn find_sid<'a>(_r: &Request<'a>) -> Option<Cow<'a, str>> {
    None
}
