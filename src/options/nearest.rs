//! What somebody may have meant: the known word nearest to a mistyped one.

/// The candidate with the fewest edits (letters added, dropped, changed, or neighbours swapped)
/// between it and `word`, unless even that one is too far to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody types a key of a thousand letters; the table of distances stays small.
    if word.len() > 64 {
        return None;
    }
    let far = word.chars().count() / 3 + 1;
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= far)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment: the edit distance in which swapped neighbours are one edit.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (row, x) in a.to_lowercase().chars().enumerate() {
        let mut here = Vec::with_capacity(above.len());
        here.push(row + 1);
        for (column, &y) in b.iter().enumerate() {
            let change = above[column] + usize::from(x != y);
            let mut best = change.min(above[column + 1] + 1).min(here[column] + 1);
            let swapped = column > 0 && last == Some(y) && b[column - 1] == x;
            if swapped && let Some(&edits) = before.get(column - 1) {
                best = best.min(edits + 1);
            }
            here.push(best);
        }
        before = std::mem::replace(&mut above, here);
        last = Some(x);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("same", "same", 0),
            ("kitten", "sitting", 3),
            ("lisetn", "listen", 1),
            ("Listen", "listen", 0),
            ("mesage_bytes", "message_bytes", 1),
        ] {
            assert_eq!(distance(a, b), edits, "{a:?} {b:?}");
            assert_eq!(distance(b, a), edits, "{b:?} {a:?}");
        }
    }

    #[test]
    fn suggests_what_is_near_and_nothing_that_is_far() {
        let known = ["listen", "log", "limits"];
        assert_eq!(nearest("lsiten", known), Some("listen"));
        assert_eq!(nearest("limit", known), Some("limits"));
        assert_eq!(nearest("webhooks", known), None);
        assert_eq!(nearest(&"l".repeat(1000), known), None);
    }
}
