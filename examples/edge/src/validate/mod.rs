//! What the Delivery API asks of a request: its query here, its body member by member.

mod check;
mod details;

use std::net::IpAddr;

use serde_json::Value;

use check::{Checked, Object};

/// The session of a query that has everything it needs.
pub(crate) fn query(organization: Option<String>, session: Option<String>) -> Checked<(String, String)> {
    let organization = organization.filter(|id| !id.trim().is_empty()).ok_or("imsOrgId is required")?;
    let session = session.filter(|id| !id.is_empty()).ok_or("sessionId is required")?;
    if session.chars().count() > 128 {
        return Err("sessionId should have at most 128 characters".to_owned());
    }
    if session.chars().any(|c| c.is_control() || c.is_whitespace() || c == '?' || c == '/') {
        return Err("sessionId should be printable, without blanks, `?` and `/`".to_owned());
    }
    Ok((organization, session))
}

/// Checks a delivery request; the error is the message of the answer.
pub(crate) fn body(request: &Value) -> Checked {
    let request = Object::root(request)?;
    request.texts(&[("requestId", 128), ("impressionId", 128)])?;
    request.integer("environmentId", i64::MIN, i64::MAX)?;
    request.require("context")?;
    each(request.object("context")?, context)?;
    each(request.object("id")?, visitor_id)?;
    each(request.object("property")?, |property| property.required_text("token", usize::MAX).map(drop))?;
    each(request.object("trace")?, |trace| {
        trace.object("usage")?;
        trace.required_text("authorizationToken", usize::MAX).map(drop)
    })?;
    each(request.object("experienceCloud")?, experience_cloud)?;
    each(request.object("execute")?, details::execute)?;
    each(request.object("prefetch")?, details::prefetch)?;
    request.objects("notifications")?.iter().try_for_each(details::notification)?;
    each(request.object("telemetry")?, telemetry)?;
    each(request.object("qaMode")?, qa_mode)?;
    each(request.object("preview")?, |preview| preview.texts(&[("token", usize::MAX)]))
}

fn each<'a>(object: Option<Object<'a>>, check: impl FnOnce(&Object<'a>) -> Checked) -> Checked {
    object.as_ref().map_or(Ok(()), check)
}

fn context(context: &Object<'_>) -> Checked {
    context.require("channel")?;
    context.one_of("channel", &["mobile", "web"])?;
    context.numbers(&["timeOffsetInMinutes"])?;
    context.flags(&["beacon"])?;
    context.texts(&[("userAgent", usize::MAX)])?;
    each(context.object("mobilePlatform")?, |platform| {
        platform.require("deviceType")?;
        platform.one_of("deviceType", &["phone", "tablet"])?;
        platform.require("platformType")?;
        platform.one_of("platformType", &["android", "ios"])?;
        platform.texts(&[("deviceName", usize::MAX), ("version", 128)])
    })?;
    each(context.object("application")?, |application| {
        application.texts(&[("id", 250), ("name", 250), ("version", 128)])
    })?;
    each(context.object("screen")?, |screen| {
        screen.numbers(&["width", "height", "colorDepth", "pixelRatio"])?;
        screen.one_of("orientation", &["portrait", "landscape"])
    })?;
    each(context.object("window")?, |window| window.numbers(&["width", "height"]))?;
    each(context.object("browser")?, |browser| {
        browser.texts(&[("host", usize::MAX), ("language", usize::MAX), ("webGLRenderer", usize::MAX)])
    })?;
    each(context.object("address")?, details::address)?;
    each(context.object("clientHints")?, |hints| hints.flags(&["mobile"]))?;
    each(context.object("geo")?, geo)
}

fn geo(geo: &Object<'_>) -> Checked {
    if let Some(address) = geo.text("ipAddress", usize::MAX)? {
        // A zone suffix belongs to IPv6 only.
        let address = address.trim();
        let bare = address.split_once('%').filter(|(bare, _)| bare.contains(':')).map_or(address, |(bare, _)| bare);
        if bare.parse::<IpAddr>().is_err() {
            return Err(format!("{} should be an IPv4 or IPv6 address", geo.path("ipAddress")));
        }
    }
    geo.numbers(&["latitude", "longitude"])?;
    if geo.text("countryCode", 2)?.is_some_and(|code| code.chars().count() != 2) {
        return Err(format!("{} should have 2 characters", geo.path("countryCode")));
    }
    if geo.text("stateCode", 3)?.is_some_and(str::is_empty) {
        return Err(format!("{} should have 1 to 3 characters", geo.path("stateCode")));
    }
    geo.texts(&[("city", 50), ("zip", 12)])
}

fn visitor_id(id: &Object<'_>) -> Checked {
    id.texts(&[("thirdPartyId", 128), ("marketingCloudVisitorId", 128)])?;
    if let Some(tnt_id) = id.text("tntId", 128)?
        && tnt_id.bytes().filter(|byte| *byte == b'.').count() > 1
    {
        return Err(format!("{} should have a dot only before its location hint", id.path("tntId")));
    }
    let customer_ids = id.objects("customerIds")?;
    if customer_ids.len() > 50 {
        return Err(format!("{} should have at most 50 elements", id.path("customerIds")));
    }
    customer_ids.iter().try_for_each(|customer| {
        customer.required_text("id", 128)?;
        customer.required_text("integrationCode", 50)?;
        customer.require("authenticatedState")?;
        customer.one_of("authenticatedState", &["unknown", "authenticated", "logged_out"])
    })
}

fn experience_cloud(cloud: &Object<'_>) -> Checked {
    each(cloud.object("audienceManager")?, |manager| {
        manager.integer("locationHint", 1, i32::MAX.into())?;
        manager.text("blob", 1024)?.map_or(Ok(()), |blob| manager.not_blank("blob", blob))
    })?;
    each(cloud.object("analytics")?, |analytics| {
        analytics.one_of("logging", &["server_side", "client_side"])?;
        analytics.texts(&[("trackingServer", usize::MAX), ("trackingServerSecure", usize::MAX)])?;
        match analytics.text("supplementalDataId", 33)? {
            Some(id) if !is_supplemental_data_id(id) => Err(format!(
                "{} should be two groups of 16 hexadecimal digits joined by a hyphen",
                analytics.path("supplementalDataId")
            )),
            _ => Ok(()),
        }
    })
}

fn is_supplemental_data_id(id: &str) -> bool {
    id.split_once('-').is_some_and(|halves| {
        [halves.0, halves.1].iter().all(|half| half.len() == 16 && half.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

fn telemetry(telemetry: &Object<'_>) -> Checked {
    telemetry.objects("entries")?.iter().try_for_each(|entry| {
        entry.texts(&[("requestId", usize::MAX), ("telemetryServerToken", usize::MAX)])?;
        entry.integer("timestamp", 0, i64::MAX)?;
        entry.one_of("mode", &["edge", "local"])?;
        entry.numbers(&["execution", "parsing"])?;
        each(entry.object("request")?, |request| {
            request.numbers(&["dns", "tls", "timeToFirstByte", "download"])?;
            request.integer("responseSize", 0, i64::MAX)
        })?;
        each(entry.object("features")?, |features| {
            features.one_of("decisioningMethod", &["server-side", "on-device", "hybrid"])?;
            for count in ["executeMboxCount", "prefetchMboxCount", "prefetchViewCount"] {
                features.integer(count, 0, i32::MAX.into())?;
            }
            features.flags(&["executePageLoad", "prefetchPageLoad"])
        })
    })
}

fn qa_mode(mode: &Object<'_>) -> Checked {
    mode.texts(&[("token", usize::MAX)])?;
    mode.flags(&["listedActivitiesOnly"])?;
    for audiences in ["evaluateAsTrueAudienceIds", "evaluateAsFalseAudienceIds"] {
        if mode.array(audiences)?.unwrap_or_default().iter().any(|id| id.as_i64().is_none()) {
            return Err(format!("{} should hold integers", mode.path(audiences)));
        }
    }
    if mode.array("previewIndexes")?.is_some_and(<[Value]>::is_empty) {
        return Err(format!("{} should not be empty", mode.path("previewIndexes")));
    }
    mode.objects("previewIndexes")?.iter().try_for_each(|index| {
        index.integer("activityIndex", 1, i32::MAX.into())?;
        index.integer("experienceIndex", 1, i32::MAX.into())
    })
}

#[cfg(test)]
mod tests;
