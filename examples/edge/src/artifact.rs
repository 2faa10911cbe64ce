//! The CDN of rules artifacts: `rules.json` with an ETag, and its obfuscated form `rules.bin`.

use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::engine::Engine;
use crate::http::{Answer, JSON, answer, error, fingerprint, full};
use crate::server::complain;

const BINARY: &str = "application/octet-stream";
/// Prefix and version of the obfuscated form.
const MAGIC: &[u8; 8] = b"ATOD:001";

/// An artifact as it is served.
pub(crate) struct Artifact {
    text: Bytes,
    fingerprint: u64,
    /// `None`: served as it is, and not decided with.
    pub(crate) engine: Option<Engine>,
    pub(crate) client: Option<String>,
    pub(crate) organization: Option<String>,
}

impl Artifact {
    pub(crate) fn parse(text: &str) -> Result<Artifact, String> {
        let artifact: Value = serde_json::from_str(text).map_err(|error| format!("no valid JSON: {error}"))?;
        if !artifact.get("rules").is_some_and(Value::is_object) {
            return Err("no rules artifact: the member `rules` is missing".to_owned());
        }
        let meta = |key: &str| artifact.get("meta").and_then(|meta| meta.get(key)).and_then(Value::as_str);
        // A CDN does not look into what it serves: artifacts that SDKs must refuse are for tests.
        let engine = Engine::compile(text, &artifact)
            .inspect_err(|error| complain(&format!("artifact: served, but deliveries are decided without it: {error}")))
            .ok();
        Ok(Artifact {
            engine,
            text: Bytes::copy_from_slice(text.as_bytes()),
            fingerprint: fingerprint(text.as_bytes()),
            client: meta("clientCode").map(str::to_owned),
            organization: meta("organizationId").map(str::to_owned),
        })
    }

    pub(crate) fn json(&self, headers: &HeaderMap) -> Answer {
        self.serve(headers, &format!("\"{:016x}\"", self.fingerprint), JSON, || self.text.clone())
    }

    /// `rules.bin` for this organization.
    pub(crate) fn binary(&self, headers: &HeaderMap, organization: Option<&str>) -> Answer {
        let Some(organization) = organization.or(self.organization.as_deref()) else {
            let message = "rules.bin needs an organization: --org, or meta.organizationId in the artifact";
            return error(StatusCode::NOT_FOUND, message);
        };
        let etag = format!("\"{:016x}-{:016x}\"", self.fingerprint, fingerprint(organization.as_bytes()));
        self.serve(headers, &etag, BINARY, || obfuscate(&self.text, organization, self.fingerprint))
    }

    fn serve(&self, headers: &HeaderMap, etag: &str, kind: &'static str, body: impl FnOnce() -> Bytes) -> Answer {
        let mut served = if is_known(headers, etag) {
            let mut not_modified = Answer::new(full(Bytes::new()));
            *not_modified.status_mut() = StatusCode::NOT_MODIFIED;
            not_modified
        } else {
            answer(StatusCode::OK, kind, body())
        };
        // Hexadecimal digits in quotes.
        if let Ok(etag) = HeaderValue::from_str(etag) {
            served.headers_mut().insert(ETAG, etag);
        }
        served.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
        served
    }
}

/// Whether `If-None-Match` names this version; a weak comparison, as the standard asks for.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// Eight bytes of prefix, 32 of key, then the text XOR the organization and the key over and over.
fn obfuscate(text: &[u8], organization: &str, seed: u64) -> Bytes {
    // Derived, not random: the same artifact is the same file, as its ETag says.
    let key = format!("{seed:016x}{:016x}", fingerprint(&seed.to_be_bytes()));
    let mut bytes = Vec::with_capacity(MAGIC.len() + key.len() + text.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(key.as_bytes());
    let pad = organization.bytes().chain(key.bytes()).collect::<Vec<_>>();
    bytes.extend(text.iter().zip(pad.iter().cycle()).map(|(byte, pad)| byte ^ pad));
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"version":"1.0.0","meta":{"clientCode":"acme","organizationId":"O@AdobeOrg"},"rules":{}}"#;

    #[test]
    fn obfuscation_is_undone_by_the_same_key() {
        let bytes = obfuscate(TEXT.as_bytes(), "O@AdobeOrg", 7);
        assert_eq!(&bytes[..8], b"ATOD:001");
        let key = [b"O@AdobeOrg", &bytes[8..40]].concat();
        let plain: Vec<u8> = bytes[40..].iter().enumerate().map(|(i, byte)| byte ^ key[i % key.len()]).collect();
        assert_eq!(plain, TEXT.as_bytes());
        assert_eq!(key.len(), 10 + 32);
    }

    #[test]
    fn etags_are_compared_as_a_list() {
        let artifact = Artifact::parse(TEXT).unwrap();
        let etag = artifact.json(&HeaderMap::new()).headers()[ETAG].to_str().unwrap().to_owned();
        let status = |value: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())]);
            artifact.json(&headers).status().as_u16()
        };
        assert_eq!(status(&etag), 304);
        assert_eq!(status(&format!("\"x\", W/{etag}")), 304);
        assert_eq!(status("*"), 304);
        assert_eq!(status("\"x\""), 200);
        let binary = artifact.binary(&HeaderMap::new(), None);
        assert_ne!(binary.headers()[ETAG].to_str().unwrap(), etag);
    }

    #[test]
    fn only_artifacts_are_accepted() {
        let refusal = |text| Artifact::parse(text).map(|_| ()).unwrap_err();
        assert!(refusal("{").contains("JSON"));
        assert!(refusal("{}").contains("rules"));
        assert!(Artifact::parse(TEXT).unwrap().engine.is_some());
        assert!(Artifact::parse(&TEXT.replace("1.0.0", "2.0.0")).unwrap().engine.is_none());
    }
}
