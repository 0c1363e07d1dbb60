//! Direct messages: to targets that the request itself names, without records (section 5.13).
//!
//! What a request says is checked here, in the order in which the original does. Nothing is sent yet,
//! and nobody is told that it was: a request that lacks nothing is answered with 501.

use super::{Caller, Routed, answer, success};
use crate::dialect::Ctx;
use crate::dialect::json::{Raw, each_entry, is_null, push_text};
use crate::dialect::pushi::config::Mail;
use crate::dialect::pushi::errors::{Fault, Name};
use crate::dialect::pushi::form::Fields;
use crate::dialect::pushi::words::is_true;
use crate::limits::{PUSHI_ADAPTER_BYTES_MAX, PUSHI_ADAPTERS_MAX};
use crate::store::{AppFields, Field};
use crate::transport::http::Request;

/// What a message goes out by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adapter {
    Apn,
    Email,
    Webhook,
    WebPush,
}

impl Adapter {
    /// By its name, or by the other that two of them have; case does not matter.
    fn of(name: &str) -> Option<Self> {
        Some(match &*name.to_ascii_lowercase() {
            "apn" => Self::Apn,
            "email" | "smtp" => Self::Email,
            "webhook" | "web" => Self::Webhook,
            "web_push" | "webpush" => Self::WebPush,
            _ => return None,
        })
    }

    /// As answers call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Apn => "apn",
            Self::Email => "email",
            Self::Webhook => "webhook",
            Self::WebPush => "web_push",
        }
    }

    /// The field of `/messaging/send` with whom it goes to.
    const fn targets(self) -> &'static str {
        match self {
            Self::Apn => "apn_tokens",
            Self::Email => "email_to",
            Self::Webhook => "webhook_urls",
            Self::WebPush => "web_push_subscriptions",
        }
    }
}

/// Why nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// The request cannot be done.
    Fault(Fault),
    /// There is nothing to send with, which the original takes for an answer and no error.
    NoSettings(&'static str),
}

impl Refusal {
    /// Something that must be said was not.
    fn missing(message: &'static str) -> Self {
        Self::Fault(Fault::bad(message))
    }

    /// The app has not what Apple asks for.
    fn no_credentials(message: &'static str) -> Self {
        Self::Fault(Fault::new(400, Name::RuntimeError, message))
    }

    fn wrong_type(field: &str, expected: &str) -> Self {
        Self::Fault(Fault::wrong_type(field, expected))
    }

    fn not_yet() -> Self {
        let message = "this server does not send direct messages yet";
        Self::Fault(Fault::new(501, Name::OperationalError, message))
    }

    fn message(&self) -> &str {
        match self {
            Self::Fault(fault) => &fault.message,
            Self::NoSettings(message) => message,
        }
    }
}

/// `{"success":false,...}`, which is how an adapter says that it did nothing.
fn push_failure(out: &mut Vec<u8>, why: &str) {
    out.extend_from_slice(b"{\"success\":false,\"error\":");
    push_text(out, why);
    out.push(b'}');
}

/// `POST /messaging/{what}`. Only JSON counts.
pub(super) fn route(
    caller: &Caller,
    what: &str,
    fields: Fields<'_>,
    request: &Request<'_>,
    mail: Mail,
    ctx: &Ctx<'_>,
) -> Routed {
    let record = ctx.apps.get(caller.served.app).map(|known| &known.record);
    let app = &record.ok_or_else(Fault::no_app)?.fields;
    let fields = fields.json_only();
    let said = Said(&fields);
    let refusal = match what {
        "send" => return send(said, app, mail),
        "apn" => said.to_devices(app),
        "email" => said.to_addresses(app, mail),
        "webhook" => said.to_hooks(),
        "web_push" => said.to_browsers(app),
        _ => return Err(Fault::no_route(request.method, request.path)),
    };
    match refusal {
        Refusal::Fault(fault) => Err(fault),
        Refusal::NoSettings(why) => Ok(answer(|out| push_failure(out, why)).into()),
    }
}

/// `POST /messaging/send`: by several adapters at once. One that fails does not stop the others, and
/// one without targets is left out.
fn send(said: Said<'_, '_>, app: &AppFields, mail: Mail) -> Routed {
    let adapters = said.adapters().map_err(|refusal| match refusal {
        Refusal::Fault(fault) => fault,
        Refusal::NoSettings(why) => Fault::bad(why),
    })?;
    let mut failures: Vec<(String, String)> = Vec::new();
    for name in adapters {
        let (name, why) = match Adapter::of(&name) {
            None => {
                let why = format!("Unknown adapter: {name}");
                (name, why)
            }
            Some(adapter) if said.given(adapter.targets()).is_none() => continue,
            Some(adapter) => {
                let refusal = said.by(adapter, app, mail);
                (adapter.name().to_owned(), refusal.message().to_owned())
            }
        };
        if failures.iter().all(|(known, _)| *known != name) {
            failures.push((name, why));
        }
    }
    if failures.is_empty() {
        return Ok(success().into());
    }
    let response = answer(|out| {
        out.push(b'{');
        for (at, (name, why)) in failures.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_text(out, name);
            out.push(b':');
            push_failure(out, why);
        }
        out.push(b'}');
    });
    Ok(response.into())
}

/// What a request says.
#[derive(Clone, Copy)]
struct Said<'f, 'a>(&'f Fields<'a>);

impl<'f, 'a> Said<'f, 'a> {
    /// A field as it was sent, the last of its name.
    fn any(self, name: &str) -> Option<&'a str> {
        let mut members = self.0.json().iter().rev();
        let (_, value) = members.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// A field that is not empty.
    fn given(self, name: &str) -> Option<&'a str> {
        self.any(name).filter(|value| is_true(value))
    }

    /// A text that must be there. A number does for one.
    fn text(self, name: &str, missing: &'static str) -> Result<(), Refusal> {
        match self.given(name).map(Raw::of) {
            None => Err(Refusal::missing(missing)),
            Some(Raw::List(_) | Raw::Object(_)) => Err(Refusal::wrong_type(name, "str")),
            Some(Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::Text(_)) => Ok(()),
        }
    }

    /// One target or a list of them, at least one.
    fn targets(self, name: &str, missing: &'static str) -> Result<(), Refusal> {
        let given = self.given(name);
        let given = given.ok_or_else(|| Refusal::missing(missing))?;
        let is_text = |piece: &str| matches!(Raw::of(piece), Raw::Text(_));
        let are_texts = match Raw::of(given) {
            Raw::Text(_) => true,
            Raw::List(list) => all_entries(list, is_text),
            Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::Object(_) => false,
        };
        match are_texts {
            true => Ok(()),
            false => Err(Refusal::wrong_type(name, "list")),
        }
    }

    /// The names of the adapters, in order.
    fn adapters(self) -> Result<Vec<String>, Refusal> {
        self.targets("adapters", "No adapters specified")?;
        let mut names = Vec::new();
        match Raw::of(self.given("adapters").unwrap_or("")) {
            Raw::Text(name) => names.push(name.into_owned()),
            Raw::List(list) => {
                all_entries(list, |entry| {
                    if let Raw::Text(name) = Raw::of(entry)
                        && names.len() <= PUSHI_ADAPTERS_MAX
                    {
                        names.push(name.into_owned());
                    }
                    true
                });
            }
            Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::Object(_) => {}
        }
        if names.len() > PUSHI_ADAPTERS_MAX {
            let message = format!("a message goes out by at most {PUSHI_ADAPTERS_MAX} adapters");
            return Err(Refusal::Fault(Fault::too_large(message)));
        }
        if names
            .iter()
            .any(|name| name.len() > PUSHI_ADAPTER_BYTES_MAX)
        {
            let message =
                format!("the name of an adapter has at most {PUSHI_ADAPTER_BYTES_MAX} bytes");
            return Err(Refusal::Fault(Fault::bad(message)));
        }
        Ok(names)
    }

    /// What `/messaging/send` says for one adapter, which has its targets.
    fn by(self, adapter: Adapter, app: &AppFields, mail: Mail) -> Refusal {
        let targets = adapter.targets();
        let message = |own| self.given(own).or_else(|| self.given("data"));
        let checked = match adapter {
            Adapter::Apn => self
                .targets(targets, "No device tokens specified")
                .and_then(|()| some(message("apn_message"), "No message specified"))
                .and_then(|()| self.apple(app)),
            // The subject is the same for all who say none, and the data is the body.
            Adapter::Email => self
                .targets(targets, "No recipient specified")
                .and_then(|()| {
                    let body = self.given("email_body").or_else(|| self.any("data"));
                    some(body, "No body specified")
                })
                .and_then(|()| self.mail_server(app, mail)),
            // Without data an empty object is sent.
            Adapter::Webhook => self
                .targets(targets, "No webhook URL specified")
                .and_then(|()| self.how_to_call("webhook_headers", "webhook_method")),
            Adapter::WebPush => self
                .browsers(targets)
                .and_then(|()| some(message("web_push_message"), "No message specified"))
                .and_then(|()| self.vapid(app)),
        };
        refusal(checked)
    }

    /// `/messaging/apn`
    fn to_devices(self, app: &AppFields) -> Refusal {
        let checked = self
            .targets("tokens", "No device tokens specified")
            .and_then(|()| some(self.given("message"), "No message specified"))
            .and_then(|()| self.apple(app));
        refusal(checked)
    }

    fn apple(self, app: &AppFields) -> Result<(), Refusal> {
        let has = |own, field| self.given(own).is_some() || is_set(field);
        if !has("key_data", &app.apn_key) {
            return Err(Refusal::no_credentials("No APN key defined"));
        }
        if !has("cer_data", &app.apn_cer) {
            return Err(Refusal::no_credentials("No APN certificate defined"));
        }
        Ok(())
    }

    /// `/messaging/email`
    fn to_addresses(self, app: &AppFields, mail: Mail) -> Refusal {
        let checked = self
            .targets("to", "No recipient specified")
            .and_then(|()| self.text("subject", "No subject specified"))
            .and_then(|()| self.text("body", "No body specified"))
            .and_then(|()| self.mail_server(app, mail));
        refusal(checked)
    }

    /// A mail server and a sender: those of the request, of the app, or of the server's settings,
    /// which count if the app has none at all.
    fn mail_server(self, app: &AppFields, mail: Mail) -> Result<(), Refusal> {
        let of_app = app.smtp_url.value().filter(|url| !url.is_empty());
        let known = of_app.map_or(mail, |url| Mail::of(url));
        if !known.has_host && self.given("smtp_host").is_none() {
            return Err(Refusal::NoSettings("SMTP host not configured"));
        }
        if !known.has_sender && self.given("smtp_sender").is_none() {
            return Err(Refusal::NoSettings("SMTP sender not configured"));
        }
        Ok(())
    }

    /// `/messaging/webhook`
    fn to_hooks(self) -> Refusal {
        let urls = match self.given("urls") {
            Some(_) => "urls",
            None => "url",
        };
        // `null` alone is no data; what is empty is sent as it is.
        let data = self.any("data").filter(|data| !is_null(data));
        let checked = self
            .targets(urls, "No webhook URL specified")
            .and_then(|()| some(data, "No data specified"))
            .and_then(|()| self.how_to_call("headers", "method"));
        refusal(checked)
    }

    fn how_to_call(self, headers: &str, method: &str) -> Result<(), Refusal> {
        let headers_given = self.given(headers).map(Raw::of);
        if !matches!(headers_given, None | Some(Raw::Object(_))) {
            return Err(Refusal::wrong_type(headers, "dict"));
        }
        let method_given = self.given(method).map(Raw::of);
        if !matches!(method_given, None | Some(Raw::Text(_))) {
            return Err(Refusal::wrong_type(method, "str"));
        }
        Ok(())
    }

    /// `/messaging/web_push`
    fn to_browsers(self, app: &AppFields) -> Refusal {
        let targets = match self.given("subscriptions") {
            Some(_) => self.browsers("subscriptions"),
            None => self
                .text("endpoint", "No endpoint specified")
                .and_then(|()| self.text("p256dh", "No p256dh key specified"))
                .and_then(|()| self.text("auth", "No auth secret specified")),
        };
        let checked = targets
            .and_then(|()| some(self.given("message"), "No message specified"))
            .and_then(|()| self.vapid(app));
        refusal(checked)
    }

    /// A list of objects; one that lacks a key is passed over when it is sent to.
    fn browsers(self, name: &str) -> Result<(), Refusal> {
        let is_object = |piece: &str| matches!(Raw::of(piece), Raw::Object(_));
        match self.given(name).map(Raw::of) {
            Some(Raw::List(list)) if all_entries(list, is_object) => Ok(()),
            _ => Err(Refusal::wrong_type(name, "list")),
        }
    }

    fn vapid(self, app: &AppFields) -> Result<(), Refusal> {
        match self.given("vapid_private_key").is_some() || is_set(&app.vapid_key) {
            true => Ok(()),
            false => Err(Refusal::NoSettings("VAPID private key not configured")),
        }
    }
}

/// What a checked request comes to: as everything is there, only the sending is missing.
fn refusal(checked: Result<(), Refusal>) -> Refusal {
    checked.err().unwrap_or_else(Refusal::not_yet)
}

fn some(value: Option<&str>, missing: &'static str) -> Result<(), Refusal> {
    match value {
        Some(_) => Ok(()),
        None => Err(Refusal::missing(missing)),
    }
}

fn is_set(field: &Field<Box<str>>) -> bool {
    field.value().is_some_and(|text| !text.is_empty())
}

/// Whether this holds of every entry of a list. The list is a piece of a checked body.
fn all_entries(list: &str, mut holds: impl FnMut(&str) -> bool) -> bool {
    let mut all = true;
    let whole = each_entry(list, |entry| all &= holds(entry));
    debug_assert!(whole == Ok(Some(())), "the body was checked");
    all
}

#[cfg(test)]
mod tests;
