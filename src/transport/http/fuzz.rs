//! Arbitrary bytes against the decoder: however they are cut, the same must come out, and nothing
//! may be held beyond the limits. Serves a fuzzer and the seeded runs of the tests alike.

use super::message::{Method, Request};
use super::{Decoder, HttpLimits, Phase, Refusal, Scratch, Step};

/// Something that came out, and how many bytes had been taken by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A request.
    Request {
        /// As in the request.
        method: Method,
        /// As in the request.
        path: String,
        /// As in the request.
        query: Option<String>,
        /// As in the request.
        is_1_1: bool,
        /// As in the request.
        headers: Vec<(String, Vec<u8>)>,
        /// As in the request.
        body: Vec<u8>,
        /// Bytes of the stream taken with it.
        taken: usize,
    },
    /// A request that the caller turned away, at its head or when it was whole. The end of it.
    TurnedAway(String),
    /// The end of it.
    Refused(Refusal),
}

/// What a caller says to a request, from its head: the most bytes that its body may have, or
/// nothing to turn it away.
pub type Policy = fn(&Request<'_>) -> Option<usize>;

/// Takes every body that the limits allow.
pub fn take_all(_: &Request<'_>) -> Option<usize> {
    Some(usize::MAX)
}

/// Turns some requests away and limits others, by their path alone.
pub fn take_some(request: &Request<'_>) -> Option<usize> {
    match request.path.len() % 4 {
        0 => None,
        1 => Some(request.path.len() / 4),
        _ => Some(usize::MAX),
    }
}

/// What a stream came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// In order.
    pub outcomes: Vec<Outcome>,
    /// What the decoder is in the middle of at the end.
    pub phase: Phase,
    /// How often a head was shown before its body; depends on the cuts.
    pub heads: usize,
    /// How often the peer was to be told to continue; depends on the cuts.
    pub continues: usize,
}

/// Feeds `stream` in pieces that end at `cuts`, which ascend, and at its end.
///
/// # Panics
///
/// If the decoder breaks a promise that can be seen from outside.
pub fn drive(stream: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &HttpLimits) -> Run {
    drive_with(stream, cuts, limits, take_all)
}

/// The same for a caller that does not take everything.
///
/// # Panics
///
/// If the decoder breaks a promise that can be seen from outside.
pub fn drive_with(
    stream: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    limits: &HttpLimits,
    policy: Policy,
) -> Run {
    let mut decoder = Decoder::new();
    let mut run = Run {
        outcomes: Vec::new(),
        phase: Phase::Idle,
        heads: 0,
        continues: 0,
    };
    // The head that was shown last, until its body is here, and what its body may have.
    let mut shown: Option<(Outcome, usize)> = None;
    let mut start = 0;
    for end in cuts.into_iter().chain([stream.len()]) {
        let end = end.clamp(start, stream.len());
        let mut input = &stream[start..end];
        loop {
            let left = input.len();
            let is_over = matches!(run.outcomes.last(), Some(Outcome::Refused(_)));
            let outcome = match decoder.next(&mut input, limits, &mut Scratch::new()) {
                Step::More => {
                    assert!(input.is_empty(), "all that was given is taken");
                    break;
                }
                Step::Head(head) => {
                    assert!(input.len() < left, "a head takes bytes");
                    assert!(shown.is_none(), "a head is shown once");
                    assert!(!is_over, "nothing comes after a refusal");
                    check_head(&head, input, limits);
                    run.heads += 1;
                    let Some(most) = policy(&head) else {
                        return turn_away(run, &head);
                    };
                    shown = Some((outcome(&head, 0), most.min(limits.body_bytes)));
                    decoder.limit_body(most);
                    assert_eq!(decoder.phase(), Phase::Body { received: 0 });
                    continue;
                }
                Step::Continue => {
                    assert!(input.is_empty(), "nothing of the body is here");
                    assert!(shown.is_some(), "the head was shown before");
                    run.continues += 1;
                    continue;
                }
                Step::Request(request) => {
                    assert!(input.len() < left, "a request takes bytes");
                    check(&request, limits);
                    match (shown.take(), policy(&request)) {
                        (Some((head, most)), _) => {
                            assert!(request.body.len() <= most, "the limit of this body holds");
                            let bodiless = Request {
                                body: &[],
                                ..request
                            };
                            assert_eq!(head, outcome(&bodiless, 0), "the head has not changed");
                        }
                        (None, None) => return turn_away(run, &request),
                        (None, Some(most)) if request.body.len() > most => {
                            let refusal = Refusal::BodyTooLarge { limit: most };
                            run.outcomes.push(Outcome::Refused(refusal));
                            return run;
                        }
                        (None, Some(_)) => {}
                    }
                    outcome(&request, end - input.len())
                }
                Step::Refused(refusal) => Outcome::Refused(refusal),
            };
            assert!(!is_over, "nothing comes after a refusal");
            run.outcomes.push(outcome);
        }
        // A vector's room is at most doubled when it grows.
        let body_bytes = shown.as_ref().map_or(0, |(_, most)| *most);
        let bound = 2 * (limits.head_bytes + body_bytes) + 512;
        assert!(decoder.held_bytes() <= bound, "held beyond the limits");
        assert!(
            decoder.phase() != Phase::Idle || decoder.held_bytes() == 0,
            "an idle decoder owns no heap"
        );
        start = end;
    }
    run.phase = decoder.phase();
    let is_inside = run.phase != Phase::Idle;
    assert_eq!(decoder.end().is_some(), is_inside);
    assert_eq!(decoder.held_bytes(), 0, "the end frees everything");
    run
}

fn turn_away(mut run: Run, request: &Request<'_>) -> Run {
    run.outcomes
        .push(Outcome::TurnedAway(request.path.to_owned()));
    run
}

/// What holds for every head that is shown.
fn check_head(head: &Request<'_>, input: &[u8], limits: &HttpLimits) {
    assert!(head.body.is_empty(), "nothing of the body is shown");
    check(head, limits);
    let length = head.headers.get("content-length");
    let length = length.map(|length| length.parse::<usize>().expect("it was judged"));
    match length {
        Some(length) => assert!(length > input.len(), "the body is not here"),
        None => assert!(head.headers.has_word("transfer-encoding", "chunked")),
    }
}

fn outcome(request: &Request<'_>, taken: usize) -> Outcome {
    Outcome::Request {
        method: request.method,
        path: request.path.to_owned(),
        query: request.query.map(str::to_owned),
        is_1_1: request.is_1_1,
        headers: request
            .headers
            .0
            .iter()
            .map(|header| (header.name.to_owned(), header.value.to_vec()))
            .collect(),
        body: request.body.to_vec(),
        taken,
    }
}

/// What holds for every request, whatever was sent.
fn check(request: &Request<'_>, limits: &HttpLimits) {
    assert!(request.body.len() <= limits.body_bytes);
    assert!(request.headers.0.len() <= limits.head_count);
    let target = request.path.len() + request.query.map_or(0, |query| query.len() + 1);
    // A target in absolute form may do without the slash that is its path.
    assert!(target <= limits.target_bytes + 1);
    assert!(request.path.starts_with('/') || request.path == "*");
    for header in request.headers.0 {
        assert!(!header.name.is_empty());
        assert!(!header.value.iter().any(|byte| b"\0\r\n".contains(byte)));
    }
    // The rest of the layer reads the same bytes.
    for (_, _) in super::query::pairs(request.query.unwrap_or_default()) {}
    let _ = super::query::decode_path(request.path);
    let _ = super::upgrade::websocket(request);
    let _ = super::response::keep_alive(request);
}

/// Feeds arbitrary bytes: the first four choose limits, cuts and policy, the rest is the stream.
///
/// # Panics
///
/// If two ways to cut the stream disagree, or a limit does not hold.
pub fn fuzz(data: &[u8]) {
    let Some((&[limits, cut_seed, cut_spread, policy], stream)) = data.split_first_chunk::<4>()
    else {
        return;
    };
    // Small limits are met by small inputs.
    let limits = if limits % 2 == 0 {
        HttpLimits::default()
    } else {
        HttpLimits {
            head_bytes: 64 + usize::from(limits),
            head_count: 1 + usize::from(limits >> 4),
            target_bytes: 8 + usize::from(limits >> 3),
            body_bytes: usize::from(limits),
        }
    };
    let policy: Policy = if policy % 2 == 0 { take_all } else { take_some };
    let whole = drive_with(stream, [], &limits, policy);
    let mut state = u64::from(cut_seed) << 8 | u64::from(cut_spread) | 1 << 20;
    let mut at = 0;
    let drawn = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        at += (state % (u64::from(cut_spread) + 1)) as usize + 1;
        (at < stream.len()).then_some(at)
    });
    let in_pieces = drive_with(stream, drawn, &limits, policy);
    assert_eq!(whole.outcomes, in_pieces.outcomes);
    assert_eq!(whole.phase, in_pieces.phase);
    let by_bytes = drive_with(stream, 1..stream.len(), &limits, policy);
    assert_eq!(whole.outcomes, by_bytes.outcomes);
    assert_eq!(whole.phase, by_bytes.phase);
}
