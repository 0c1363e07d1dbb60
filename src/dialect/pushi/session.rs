//! stub
use crate::store::AppRow;
#[derive(Debug, Default)]
pub struct EndedSessions;
impl EndedSessions {
    pub fn load(&mut self, _s: [u8; 32], _u: u64) {}
}
#[allow(dead_code)]
pub fn x(_: AppRow) {}
