//! For fuzz targets.

use crate::config::Config;
use crate::error::Result;

/// Where a client of this configuration would get its artifact.
pub fn location(config: &Config) -> Result<String> {
    super::location::location(config).map(|location| location.url)
}

/// The JSON inside an obfuscated artifact.
pub fn decode(bytes: &[u8], organization_id: &str) -> Result<String> {
    super::binary::decode(bytes, organization_id)
}
