//! stub
use crate::error::Result;
/// stub
pub struct Attributes;
impl Attributes {
    /// stub
    pub fn of_envelope(_: &str) -> Result<Attributes> {
        Ok(Attributes)
    }
    /// stub
    pub fn get(&self, _mbox: &str, _key: &str) -> Option<&str> {
        None
    }
    /// stub
    pub fn mbox(&self, _mbox: &str) -> Option<String> {
        None
    }
    /// stub
    pub fn all(&self) -> String {
        "{}".into()
    }
}
