//! What is wrong with a request, field by field, in the shape that callers know.
//!
//! A tree: an object leads from field names, keys or indexes to further objects or to lists of
//! messages. The texts are those of the original's validation library.

use super::json::NotJson;
use super::stamps::push_text;
use crate::limits::CS_FAULTS_LISTED_MAX;

/// A required field is missing.
pub const MISSING: &str = "Missing data for required field.";
/// Null where it is not allowed.
pub const NULL: &str = "Field may not be null.";
/// Not a string.
pub const NO_TEXT: &str = "Not a valid string.";
/// A user's name is empty or too long.
pub const USER_LENGTH: &str = "Length must be between 1 and 512.";
/// A channel's name or a state key is empty or too long.
pub const CHANNEL_LENGTH: &str = "Length must be between 1 and 256.";
/// A channel's name is too long where it may be empty; the original lets any pass there.
pub const LONG_NAME: &str = "Longer than maximum length 256.";
/// An empty list where one entry is needed.
pub const EMPTY: &str = "Shorter than minimum length 1.";
/// Too many messages in one request, or names in one list; the original knows no such bound.
pub const TOO_MANY: &str = "Longer than maximum length 65536.";
/// Too many members in one mapping; nor does it know this one.
pub const TOO_MANY_KEYS: &str = "Longer than maximum length 4096.";
/// A user's state would grow beyond what is kept; nor this one.
pub const STATE_SIZE: &str = "State is longer than 4096 keys or 262144 bytes.";
/// Not a list.
pub const NO_LIST: &str = "Not a valid list.";
/// Not an object where a mapping is needed.
pub const NO_MAPPING: &str = "Not a valid mapping type.";
/// Not a UUID.
pub const NO_UUID: &str = "Not a valid UUID.";
/// Not a boolean.
pub const NO_BOOLEAN: &str = "Not a valid boolean.";
/// Not an integer.
pub const NO_INTEGER: &str = "Not a valid integer.";
/// An integer below zero.
pub const NEGATIVE: &str = "Must be at least 0.";
/// Not a date-time.
pub const NO_DATE_TIME: &str = "Not a valid datetime.";
/// A list or an object as a state value.
pub const NO_STATE: &str = "Value is not type of string, integer, boolean or float.";
/// Not an object where a structure is needed.
pub const WRONG_TYPE: &str = "Invalid input type.";
/// The same for the body of `/info`.
pub const WRONG_TYPE_INFO: &str = "Invalid type.";
/// A connection id that nobody has.
pub const UNKNOWN_CONNECTION: &str = "Unknown connection";
/// A user that nobody knows.
pub const UNKNOWN_USER: &str = "Unknown user";
/// A name for the callback that is no name.
pub const NO_CALLBACK: &str = "Not a valid callback.";

const _: () = assert!(
    crate::limits::CS_MESSAGES_PER_REQUEST_MAX == 65_536,
    "the text of TOO_MANY says so"
);
const _: () = assert!(
    crate::limits::CS_NAMES_PER_LIST_MAX == 65_536
        && crate::limits::CS_KEYS_PER_MAPPING_MAX == 4096,
    "the texts of TOO_MANY and TOO_MANY_KEYS say so"
);
const _: () = assert!(
    crate::limits::STATE_KEYS_MAX == 4096 && crate::limits::STATE_BYTES_MAX == 262_144,
    "the text of STATE_SIZE says so"
);
const _: () = assert!(
    crate::limits::CS_USER_CHARS_MAX == 512 && crate::limits::CS_CHANNEL_CHARS_MAX == 256,
    "the texts of USER_LENGTH, CHANNEL_LENGTH and LONG_NAME say so"
);

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq)]
pub enum BodyFault {
    /// It is not JSON: 400.
    NotJson,
    /// It is not what the path needs: 422 with these words.
    Invalid(Errors),
}

impl From<NotJson> for BodyFault {
    fn from(_: NotJson) -> Self {
        Self::NotJson
    }
}

impl From<Errors> for BodyFault {
    fn from(errors: Errors) -> Self {
        Self::Invalid(errors)
    }
}

/// Where in a structure something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A field that we named.
    Field(&'static str),
    /// A key that the caller named.
    Key(Box<str>),
    /// An entry of a list. It is written as a string, like every key of an object.
    Index(usize),
}

/// A tree of complaints.
#[derive(Debug, Clone, PartialEq)]
pub enum Errors {
    /// What is wrong with one value.
    Messages(Vec<&'static str>),
    /// What is wrong with the parts of a structure.
    Parts(Vec<(Place, Self)>),
}

impl Errors {
    /// One complaint about one value.
    pub fn one(message: &'static str) -> Self {
        Self::Messages(vec![message])
    }

    /// One complaint about one field of a structure.
    pub fn field(name: &'static str, message: &'static str) -> Self {
        Self::Parts(vec![(Place::Field(name), Self::one(message))])
    }

    /// The complaint about a structure that is none.
    pub fn schema(message: &'static str) -> Self {
        Self::field("_schema", message)
    }

    /// The JSON text of the tree.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(128);
        self.push_json(&mut json);
        json
    }

    /// Appends the JSON text of the tree. It is as deep as the longest path of fields: six.
    pub fn push_json(&self, json: &mut Vec<u8>) {
        match self {
            Self::Messages(messages) => {
                json.push(b'[');
                for (at, message) in messages.iter().enumerate() {
                    if at > 0 {
                        json.push(b',');
                    }
                    push_text(json, message);
                }
                json.push(b']');
            }
            Self::Parts(parts) => {
                json.push(b'{');
                for (at, (place, errors)) in parts.iter().enumerate() {
                    if at > 0 {
                        json.push(b',');
                    }
                    match place {
                        Place::Field(name) => push_text(json, name),
                        Place::Key(key) => push_text(json, key),
                        Place::Index(index) => push_text(json, &index.to_string()),
                    }
                    json.push(b':');
                    errors.push_json(json);
                }
                json.push(b'}');
            }
        }
    }
}

/// Gathers what is wrong with the parts of one structure while its fields are read.
///
/// Only the first [`CS_FAULTS_LISTED_MAX`] faults are kept: a body of millions of wrong entries
/// must not make an answer many times its size. More are not needed to know that it is wrong.
#[derive(Debug, Default)]
pub struct Faults(Vec<(Place, Errors)>);

impl Faults {
    /// Whether nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no more faults are kept.
    pub fn is_full(&self) -> bool {
        self.0.len() >= CS_FAULTS_LISTED_MAX
    }

    /// Notes what is wrong at a place.
    pub fn push(&mut self, place: impl FnOnce() -> Place, errors: Errors) {
        if !self.is_full() {
            self.0.push((place(), errors));
        }
    }

    /// The value of a field; if it is wrong, that is noted and a stand-in given, which nobody sees
    /// because [`Faults::finish`] refuses the whole.
    pub fn take<T: Default>(&mut self, name: &'static str, read: Result<T, Errors>) -> T {
        read.unwrap_or_else(|errors| {
            self.push(|| Place::Field(name), errors);
            T::default()
        })
    }

    /// The tree of what was noted, if anything was.
    pub fn finish(self) -> Result<(), Errors> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Errors::Parts(self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_written_in_the_known_shape() {
        let tree = Errors::Parts(vec![
            (
                Place::Field("user"),
                Errors::Messages(vec![USER_LENGTH, UNKNOWN_USER]),
            ),
            (
                Place::Field("channels"),
                Errors::Parts(vec![(Place::Index(12), Errors::one(NO_TEXT))]),
            ),
            (
                Place::Key("a \"key\"\n".into()),
                Errors::field("value", NO_STATE),
            ),
        ]);
        assert_eq!(
            String::from_utf8(tree.to_json()).expect("UTF-8"),
            concat!(
                r#"{"user":["Length must be between 1 and 512.","Unknown user"],"#,
                r#""channels":{"12":["Not a valid string."]},"#,
                r#""a \"key\"\n":{"value":["#,
                r#""Value is not type of string, integer, boolean or float."]}}"#
            )
        );
        assert_eq!(
            Errors::schema(WRONG_TYPE).to_json(),
            br#"{"_schema":["Invalid input type."]}"#
        );
    }

    #[test]
    fn faults_are_bounded() {
        let mut faults = Faults::default();
        assert_eq!(faults.take("fine", Ok(5)), 5);
        assert!(faults.is_empty());
        for at in 0..1_000_000 {
            faults.push(|| Place::Index(at), Errors::one(NULL));
        }
        let Err(Errors::Parts(parts)) = faults.finish() else {
            panic!("a million faults are a fault");
        };
        assert_eq!(parts.len(), CS_FAULTS_LISTED_MAX);
        assert_eq!(Faults::default().finish(), Ok(()));
    }
}
