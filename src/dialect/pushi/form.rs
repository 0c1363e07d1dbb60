//! The fields of a request to the API: of its body, which is JSON or a form, and of its query.
//!
//! Two kinds of fields are told apart. A *field of a record* is looked for in the query, then in a
//! form, then in JSON. A *control field*, which says how something is done, is looked for in the
//! query, then in a form, and never in JSON. Of repeated ones the last counts.

mod multipart;

use super::errors::Fault;
use super::words::{is_true, whole};
use crate::dialect::json::{Raw, checked, compact, each_member};
use crate::limits::PUSHI_FIELDS_MAX;
use crate::store::Field;
use crate::transport::http::Request;
use crate::transport::http::query::pairs;
use std::borrow::Cow;

/// Names and values of a form or a query, in order.
type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The fields of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The members of a body that is a JSON object; their values are pieces of it.
    json: Vec<(Cow<'a, str>, &'a str)>,
    form: Pairs<'a>,
    query: Pairs<'a>,
}

/// What a body is, by its content type.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Body<'a> {
    Json,
    Form,
    /// A form in parts, and what stands between these.
    Parts(Cow<'a, str>),
    /// Nobody reads it.
    Other,
}

impl<'a> Fields<'a> {
    /// Reads the query and the body.
    ///
    /// A body without a content type is JSON. One with a type that means nothing here is passed
    /// over, and so is an empty one.
    ///
    /// # Errors
    /// JSON that is none, or no object; a form that is malformed; too many fields.
    pub fn of(request: &Request<'a>) -> Result<Self, Fault> {
        let mut fields = Self {
            query: pairs(request.query.unwrap_or("")).collect(),
            ..Self::default()
        };
        let body = request.body;
        if body.trim_ascii().is_empty() {
            return Ok(fields);
        }
        match body_kind(request)? {
            Body::Json => fields.json = members(body)?,
            Body::Form => fields.form = form(body)?,
            Body::Parts(boundary) => fields.form = multipart::parts(body, &boundary)?,
            Body::Other => {}
        }
        Ok(fields)
    }

    /// Only what came as JSON. Some routes read nothing else.
    #[must_use]
    pub fn json_only(self) -> Self {
        Self {
            json: self.json,
            ..Self::default()
        }
    }

    /// The members of a body that is JSON, in order, repeated ones too.
    pub fn json(&self) -> &[(Cow<'a, str>, &'a str)] {
        &self.json
    }

    /// The control field of this name.
    pub fn control(&self, name: &str) -> Option<&str> {
        last(&self.query, name).or_else(|| last(&self.form, name))
    }

    /// A control field that a list is filtered by: an empty one filters nothing.
    pub fn filter(&self, name: &str) -> Option<&str> {
        self.control(name).filter(|value| !value.is_empty())
    }

    /// A control field that says yes or no; no if it is missing.
    pub fn flag(&self, name: &str) -> bool {
        self.control(name).is_some_and(is_yes)
    }

    /// A control field that is a whole number.
    ///
    /// # Errors
    /// Anything else, negative numbers too.
    pub fn number(&self, name: &str, otherwise: u64) -> Result<u64, Fault> {
        let Some(text) = self.control(name) else {
            return Ok(otherwise);
        };
        if let Some(number) = whole(text.trim()) {
            return Ok(number);
        }
        let digits = text.trim().strip_prefix('-');
        Err(match digits.and_then(whole) {
            Some(_) => Fault::bad(format!("Field '{name}' must not be negative")),
            None => Fault::wrong_type(name, "int"),
        })
    }

    /// A field of a record that is a text. Numbers and booleans become one.
    ///
    /// # Errors
    /// A list or an object.
    pub fn text(&self, name: &str) -> Result<Field<Cow<'_, str>>, Fault> {
        match self.found(name) {
            None => Ok(Field::Absent),
            Some(Found::Text(text)) => Ok(Field::Is(text.into())),
            Some(Found::Json(piece)) => match Raw::of(piece) {
                Raw::Null => Ok(Field::Null),
                Raw::Text(text) => Ok(Field::Is(text)),
                Raw::Number(number) => Ok(Field::Is(number.into())),
                // As the original's language writes them.
                Raw::Bool(true) => Ok(Field::Is("True".into())),
                Raw::Bool(false) => Ok(Field::Is("False".into())),
                Raw::List(_) | Raw::Object(_) => Err(Fault::wrong_type(name, "str")),
            },
        }
    }

    /// A field of a record that is a boolean.
    ///
    /// # Errors
    /// A list or an object.
    pub fn boolean(&self, name: &str) -> Result<Field<bool>, Fault> {
        match self.found(name) {
            None => Ok(Field::Absent),
            Some(Found::Text(text)) => Ok(Field::Is(is_yes(text))),
            Some(Found::Json(piece)) => match Raw::of(piece) {
                Raw::Null => Ok(Field::Null),
                Raw::Text(text) => Ok(Field::Is(is_yes(&text))),
                Raw::Bool(_) | Raw::Number(_) => Ok(Field::Is(is_true(piece))),
                Raw::List(_) | Raw::Object(_) => Err(Fault::wrong_type(name, "bool")),
            },
        }
    }

    /// A field of a record that is an object, as compact JSON. A text may hold it.
    ///
    /// # Errors
    /// Anything else.
    pub fn object(&self, name: &str) -> Result<Field<String>, Fault> {
        let inside = |text: &str| {
            let text = checked(text.as_bytes()).ok()?;
            each_member(text, |_, _| ()).ok()??;
            Some(Field::Is(compact(text).into_owned()))
        };
        let found = match self.found(name) {
            None => return Ok(Field::Absent),
            Some(Found::Text(text)) => inside(text),
            Some(Found::Json(piece)) => match Raw::of(piece) {
                Raw::Null => Some(Field::Null),
                Raw::Text(text) => inside(&text),
                Raw::Object(object) => Some(Field::Is(compact(object).into_owned())),
                Raw::Bool(_) | Raw::Number(_) | Raw::List(_) => None,
            },
        };
        found.ok_or_else(|| Fault::wrong_type(name, "dict"))
    }

    /// A field of a record, wherever it is.
    fn found(&self, name: &str) -> Option<Found<'_>> {
        let json = || {
            let mut members = self.json.iter().rev();
            members.find(|(known, _)| known == name)
        };
        match self.control(name) {
            Some(text) => Some(Found::Text(text)),
            None => json().map(|&(_, piece)| Found::Json(piece)),
        }
    }
}

/// A field as it was found.
enum Found<'f> {
    /// In the query or in a form.
    Text(&'f str),
    /// In JSON.
    Json(&'f str),
}

/// The form field `sid` of a request, whatever else its body holds. A body that cannot be read has
/// none.
pub fn sid_in_form<'a>(request: &Request<'a>) -> Option<Cow<'a, str>> {
    let mut pairs = match body_kind(request).ok()? {
        Body::Form => form(request.body).ok()?,
        Body::Parts(boundary) => multipart::parts(request.body, &boundary).ok()?,
        Body::Json | Body::Other => return None,
    };
    let at = pairs.iter().rposition(|(name, _)| name == "sid")?;
    Some(pairs.swap_remove(at).1)
}

/// Whether a text says yes, where it stands for a boolean.
fn is_yes(text: &str) -> bool {
    !matches!(text, "" | "0" | "false" | "False")
}

fn last<'p>(pairs: &'p Pairs<'_>, name: &str) -> Option<&'p str> {
    let mut pairs = pairs.iter().rev();
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| &**value)
}

fn body_kind<'a>(request: &Request<'a>) -> Result<Body<'a>, Fault> {
    let Some(value) = request.headers.0.iter().find_map(|header| {
        let is_it = header.name.eq_ignore_ascii_case("content-type");
        is_it.then_some(header.value)
    }) else {
        return Ok(Body::Json);
    };
    let Ok(value) = std::str::from_utf8(value) else {
        return Ok(Body::Other);
    };
    let kind = value.split(';').next().unwrap_or("").trim();
    let is = |known: &str| kind.eq_ignore_ascii_case(known);
    if is("application/json") || kind.is_empty() {
        Ok(Body::Json)
    } else if is("application/x-www-form-urlencoded") {
        Ok(Body::Form)
    } else if is("multipart/form-data") {
        let boundary = multipart::boundary(value);
        boundary
            .map(Body::Parts)
            .ok_or_else(|| Fault::bad("the form does not say what stands between its parts"))
    } else {
        Ok(Body::Other)
    }
}

fn too_many() -> Fault {
    Fault::too_large(format!("a body has at most {PUSHI_FIELDS_MAX} fields"))
}

/// The members of a body that is a JSON object.
fn members(body: &[u8]) -> Result<Vec<(Cow<'_, str>, &str)>, Fault> {
    let not_json = || Fault::bad("the body is not JSON");
    let text = checked(body).map_err(|_| not_json())?;
    let mut members = Vec::new();
    let mut count = 0;
    let whole = each_member(text, |name, value| {
        count += 1;
        if count <= PUSHI_FIELDS_MAX {
            members.push((name, value));
        }
    });
    match whole {
        Err(_) => Err(not_json()),
        Ok(None) => Err(Fault::bad("the body must be a JSON object")),
        Ok(Some(())) if count > PUSHI_FIELDS_MAX => Err(too_many()),
        Ok(Some(())) => Ok(members),
    }
}

/// The pairs of a form in one piece.
fn form(body: &[u8]) -> Result<Pairs<'_>, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::bad("the form is not UTF-8"))?;
    let found: Pairs<'_> = pairs(text).take(PUSHI_FIELDS_MAX + 1).collect();
    match found.len() {
        count if count > PUSHI_FIELDS_MAX => Err(too_many()),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests;
