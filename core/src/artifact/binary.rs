//! `rules.bin`: the artifact's JSON, obfuscated with a key that it carries along and the organization's id.

use crate::error::{Error, ErrorKind, Result};

const MAGIC: &[u8] = b"ATOD";
const VERSION: u32 = 1;
const HEADER: usize = 8;
const KEY: usize = 32;

/// Whether the bytes are in this format.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The JSON inside.
pub(super) fn decode(bytes: &[u8], organization_id: &str) -> Result<String> {
    let wrong = |what: String| Error::new(ErrorKind::Artifact, format!("Invalid Artifact: {what}"));
    let Some(((head, key), body)) =
        bytes.split_at_checked(HEADER + KEY).map(|(start, body)| (start.split_at(HEADER), body))
    else {
        return Err(wrong(format!("{} bytes are too few for an obfuscated one", bytes.len())));
    };
    let version = head.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(b":"));
    let Some(version) = version else {
        return Err(wrong("it does not begin as an obfuscated one (ATOD)".to_owned()));
    };
    if std::str::from_utf8(version).ok().and_then(|text| text.parse().ok()) != Some(VERSION) {
        let version = String::from_utf8_lossy(version).escape_default().to_string();
        return Err(wrong(format!("obfuscation version {version} is not supported")));
    }
    let key = organization_id.bytes().chain(key.iter().copied()).collect::<Vec<u8>>();
    let plain = body.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    String::from_utf8(plain).map_err(|_| {
        // The usual cause, and the reader can do something about it.
        Error::new(ErrorKind::Artifact, "Unable to read artifact JSON: is it of another organization?")
    })
}

#[cfg(test)]
pub(super) fn encode(json: &str, organization_id: &str, key: &[u8; KEY]) -> Vec<u8> {
    let whole = [organization_id.as_bytes(), key].concat();
    let body = json.bytes().enumerate().map(|(at, byte)| byte ^ whole[at % whole.len()]);
    b"ATOD:001".iter().chain(key).copied().chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_obfuscated_comes_back() {
        let json = "{\"version\":\"1.0.0\",\"name\":\"é\"}".repeat(20);
        let packed = encode(&json, "ORG@AdobeOrg", b"0123456789abcdef0123456789abcdef");
        assert!(is_binary(&packed));
        assert_eq!(decode(&packed, "ORG@AdobeOrg").unwrap(), json);
        assert_ne!(decode(&packed, "OTHER@AdobeOrg").ok().as_deref(), Some(json.as_str()));
        assert_eq!(decode(&packed[..40], "ORG@AdobeOrg").unwrap(), "");
        // Worked out by hand: 'A'^'{' and so on, with key "A" + thirty-two times "0".
        let by_hand = [b"ATOD:001".as_slice(), &[b'0'; 32], &[b'{' ^ b'A', b'}' ^ b'0']].concat();
        assert_eq!(decode(&by_hand, "A").unwrap(), "{}");
    }

    #[test]
    fn other_things_are_refused() {
        let good = encode("{}", "O", &[b'k'; 32]);
        for (bytes, words) in [
            (&good[..39], "too few"),
            (b"".as_slice(), "too few"),
            (&[b"ATOD:002".as_slice(), &good[8..]].concat(), "version 002"),
            (&[b"ATOD:x\x00\xff".as_slice(), &good[8..]].concat(), "not supported"),
            (&[b"ATODX001".as_slice(), &good[8..]].concat(), "ATOD"),
            (&[b"NOPE:001".as_slice(), &good[8..]].concat(), "ATOD"),
        ] {
            let error = decode(bytes, "O").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Artifact);
            assert!(error.message().contains(words), "{error}");
        }
    }
}
