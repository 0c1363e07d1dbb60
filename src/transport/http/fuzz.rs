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
    /// The end of it.
    Refused(Refusal),
}

/// What a stream came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// In order.
    pub outcomes: Vec<Outcome>,
    /// What the decoder is in the middle of at the end.
    pub phase: Phase,
    /// How often the peer was to be told to continue; depends on the cuts.
    pub continues: usize,
}

/// Feeds `stream` in pieces that end at `cuts`, which ascend, and at its end.
///
/// # Panics
///
/// If the decoder breaks a promise that can be seen from outside.
pub fn drive(stream: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &HttpLimits) -> Run {
    let mut decoder = Decoder::new();
    let mut run = Run {
        outcomes: Vec::new(),
        phase: Phase::Idle,
        continues: 0,
    };
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
                Step::Continue => {
                    assert!(input.is_empty(), "nothing of the body is here");
                    run.continues += 1;
                    continue;
                }
                Step::Request(request) => {
                    assert!(input.len() < left, "a request takes bytes");
                    check(&request, limits);
                    outcome(&request, end - input.len())
                }
                Step::Refused(refusal) => Outcome::Refused(refusal),
            };
            assert!(!is_over, "nothing comes after a refusal");
            run.outcomes.push(outcome);
        }
        // A vector's room is at most doubled when it grows.
        let bound = 2 * (limits.head_bytes + limits.body_bytes) + 512;
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

/// Feeds arbitrary bytes: the first four choose limits and cuts, the rest is the stream.
///
/// # Panics
///
/// If two ways to cut the stream disagree, or a limit does not hold.
pub fn fuzz(data: &[u8]) {
    let Some((&[limits, cut_seed, cut_spread, _], stream)) = data.split_first_chunk::<4>() else {
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
    let whole = drive(stream, [], &limits);
    let mut state = u64::from(cut_seed) << 8 | u64::from(cut_spread) | 1 << 20;
    let mut at = 0;
    let drawn = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        at += (state % (u64::from(cut_spread) + 1)) as usize + 1;
        (at < stream.len()).then_some(at)
    });
    let in_pieces = drive(stream, drawn, &limits);
    assert_eq!(whole.outcomes, in_pieces.outcomes);
    assert_eq!(whole.phase, in_pieces.phase);
    let by_bytes = drive(stream, 1..stream.len(), &limits);
    assert_eq!(whole.outcomes, by_bytes.outcomes);
    assert_eq!(whole.phase, by_bytes.phase);
}
