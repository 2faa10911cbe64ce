//! Who is decided for.

use std::borrow::Cow;

use super::Input;
use super::allocation::visitor_of_tnt_id;
use crate::json::{Json, Object};

/// A visitor's ids, completed so that decisions about them stay the same.
pub(crate) struct Identity<'a> {
    /// `id` as the response gives it.
    pub(crate) id: Cow<'a, Object<'a>>,
    /// What allocation decides by.
    pub(crate) visitor: Cow<'a, str>,
}

impl<'a> Identity<'a> {
    /// From a request's `id`; a tntId is made if there is no id to decide by.
    pub(crate) fn new(input: &Input<'a>) -> Identity<'a> {
        let given = input.request.get("id").and_then(Json::as_object);
        let known = |key| given.and_then(|id| id.get(key)).and_then(Json::as_str).is_some_and(|id| !id.is_empty());
        match given {
            Some(id) if ["tntId", "marketingCloudVisitorId", "thirdPartyId"].into_iter().any(known) => {
                let visitor = visitor_id(id).map_or_else(|| Cow::Owned(input.random.id()), Cow::Borrowed);
                Identity { id: Cow::Borrowed(id), visitor }
            }
            _ => {
                let visitor = input.random.id();
                let hint = input.location_hint.filter(|hint| !hint.trim().is_empty());
                let tnt_id = hint.map_or_else(|| visitor.clone(), |hint| format!("{visitor}.{hint}_0"));
                let mut id = given.cloned().unwrap_or_default();
                id.set("tntId", tnt_id);
                Identity { id: Cow::Owned(id), visitor: Cow::Owned(visitor) }
            }
        }
    }
}

/// The visitor that allocation sees in a request's `id`; `None` when there is none.
fn visitor_id<'i>(id: &'i Object<'_>) -> Option<&'i str> {
    let text = |key: &str| id.get(key).and_then(Json::as_str).filter(|text| !text.is_empty());
    text("marketingCloudVisitorId")
        .or_else(|| text("tntId").map(visitor_of_tnt_id).filter(|visitor| !visitor.is_empty()))
        .or_else(|| text("thirdPartyId"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn visitors() {
        for (id, expected) in [
            (r#"{"tntId":"t.28_0","marketingCloudVisitorId":"m","thirdPartyId":"p"}"#, Some("m")),
            (r#"{"tntId":"t.28_0","marketingCloudVisitorId":"","thirdPartyId":"p"}"#, Some("t")),
            (r#"{"tntId":".28_0","thirdPartyId":"p.28_0"}"#, Some("p.28_0")),
            (r#"{"customerIds":[{"id":"c","authenticatedState":"authenticated"}]}"#, None),
            ("{}", None),
        ] {
            let id = json::parse(id, &json::Limits::OPTIONS).unwrap();
            assert_eq!(visitor_id(id.as_object().unwrap()), expected, "{id}");
        }
    }
}
