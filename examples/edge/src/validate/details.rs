//! The parts of a request that ask for or report on mboxes, views and page loads.

use super::check::{Checked, Object};
use super::each;

/// Parameters of an order that have members of their own.
const RESERVED_PARAMETERS: [&str; 3] = ["orderId", "orderTotal", "productPurchasedIds"];
const RESERVED_MBOXES: [&str; 3] = ["display mboxes", "any mbox", "click from display mbox"];
/// Characters of mbox names besides letters and digits.
const MBOX_CHARACTERS: &str = "-, ./=`:;&!@#$%^&*()+|?~[]{}'_";

pub(super) fn execute(execute: &Object<'_>) -> Checked {
    each(execute.object("pageLoad")?, request_details)?;
    execute.objects("mboxes")?.iter().try_for_each(mbox_request)
}

pub(super) fn prefetch(prefetch: &Object<'_>) -> Checked {
    self::execute(prefetch)?;
    prefetch.objects("views")?.iter().try_for_each(|view| {
        request_details(view)?;
        view.texts(&[("name", 128), ("key", 512)])
    })
}

fn mbox_request(mbox: &Object<'_>) -> Checked {
    request_details(mbox)?;
    mbox.require("index")?;
    mbox.integer("index", i32::MIN.into(), i32::MAX.into())?;
    mbox_name(mbox, true)
}

fn mbox_name(mbox: &Object<'_>, required: bool) -> Checked {
    let Some(name) = mbox.text("name", 250)? else {
        return if required { mbox.require("name") } else { Ok(()) };
    };
    mbox.not_blank("name", name)?;
    if name.ends_with("-clicked") || RESERVED_MBOXES.contains(&name) {
        return Err(format!("{} is a reserved mbox name", mbox.path("name")));
    }
    if let Some(other) = name.chars().find(|c| !c.is_alphanumeric() && !MBOX_CHARACTERS.contains(*c)) {
        return Err(format!("{} should not contain {other:?}", mbox.path("name")));
    }
    Ok(())
}

/// A notification with any mistake invalidates the whole request.
pub(super) fn notification(notification: &Object<'_>) -> Checked {
    request_details(notification)?;
    notification.required_text("id", 200)?;
    notification.texts(&[("impressionId", 128)])?;
    notification.require("type")?;
    notification.one_of("type", &["click", "display"])?;
    notification.require("timestamp")?;
    notification.integer("timestamp", 0, i64::MAX)?;
    if let Some(tokens) = notification.array("tokens")?
        && let Some(position) =
            tokens.iter().position(|token| token.as_str().is_none_or(|token| token.trim().is_empty()))
    {
        return Err(format!("{}[{position}] should be a token", notification.path("tokens")));
    }
    if notification.has("mbox") && notification.has("view") {
        return Err(format!("{} and view exclude each other", notification.path("mbox")));
    }
    each(notification.object("mbox")?, |mbox| {
        mbox.texts(&[("state", usize::MAX)])?;
        mbox_name(mbox, false)
    })?;
    each(notification.object("view")?, |view| view.texts(&[("name", 128), ("key", 512), ("state", usize::MAX)]))?;
    each(notification.object("pageLoad")?, |page| page.texts(&[("state", usize::MAX)]))
}

pub(super) fn address(address: &Object<'_>) -> Checked {
    address.texts(&[("url", 4096), ("referringUrl", 4096)])
}

fn request_details(details: &Object<'_>) -> Checked {
    each(details.object("address")?, address)?;
    each(details.object("parameters")?, |parameters| self::parameters(parameters, &RESERVED_PARAMETERS))?;
    each(details.object("profileParameters")?, |parameters| self::parameters(parameters, &[]))?;
    each(details.object("order")?, order)?;
    each(details.object("product")?, |product| {
        for key in ["id", "categoryId"] {
            if let Some(text) = product.text(key, 128)? {
                product.not_blank(key, text)?;
            }
        }
        Ok(())
    })
}

fn parameters(parameters: &Object<'_>, reserved: &[&str]) -> Checked {
    if parameters.members().count() > 50 {
        return Err(format!("{} should have at most 50 entries", parameters.own_path()));
    }
    for (name, value) in parameters.members() {
        let path = || parameters.path(name);
        if name.trim().is_empty() {
            return Err(format!("{} should not have a blank name", parameters.own_path()));
        }
        if name.chars().count() > 128 {
            return Err(format!("{}: the name should have at most 128 characters", path()));
        }
        if name.starts_with("profile.") || reserved.contains(&name.as_str()) {
            return Err(format!("{}: the name is not allowed", path()));
        }
        let text = value.as_str().ok_or_else(|| format!("{} should be a string", path()))?;
        if text.chars().count() > 5000 {
            return Err(format!("{} should have at most 5000 characters", path()));
        }
    }
    Ok(())
}

fn order(order: &Object<'_>) -> Checked {
    order.texts(&[("id", 250), ("time", usize::MAX)])?;
    order.numbers(&["total"])?;
    order.non_negative("total")?;
    order.integer("experienceLocalId", 0, i32::MAX.into())?;
    order.flags(&["duplicate", "outlier"])?;
    let products = order.array("purchasedProductIds")?.unwrap_or_default();
    let path = || order.path("purchasedProductIds");
    let mut length = products.len().saturating_sub(1);
    for (position, product) in products.iter().enumerate() {
        let id = product.as_str().filter(|id| !id.trim().is_empty() && id.chars().count() <= 50);
        let id = id.ok_or_else(|| format!("{}[{position}] should be a text of 1 to 50 characters", path()))?;
        length += id.chars().count();
    }
    if length > 250 { Err(format!("{} should have at most 250 characters in all", path())) } else { Ok(()) }
}
