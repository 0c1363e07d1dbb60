//! What goes on once the store has answered.

use super::{Ctx, Reply};
use crate::store::Answer;

/// Words the store's answer to whoever made the request. The dialect is lent as it is then: nothing
/// of the request but what the function took with it is left.
pub type AnswerThen = Box<dyn FnOnce(Answer, &mut Ctx<'_>) -> Reply>;

/// Goes on with what a socket asked for. It is not called if the socket has gone meanwhile.
pub type SocketThen = Box<dyn FnOnce(Answer, &mut Ctx<'_>)>;
