//! A list that is nearly always empty or has one entry, and then needs no heap.

use crate::room;

/// None, one, or many of something. Order is kept by `push`, not by `swap_remove`.
#[derive(Debug, Clone, Default)]
pub(crate) enum Few<T> {
    #[default]
    None,
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn push(&mut self, value: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(value),
            Self::One(first) => Self::Many(vec![first, value]),
            Self::Many(mut many) => {
                many.push(value);
                Self::Many(many)
            }
        };
    }

    /// Puts an entry at `place`, or at the end where there is no such place; those from there on
    /// move up.
    pub(crate) fn insert(&mut self, place: usize, value: T) {
        self.push(value);
        if let Some(tail) = self.as_mut_slice().get_mut(place..) {
            tail.rotate_right(usize::from(!tail.is_empty()));
        }
    }

    /// Takes the entry at `place` out; those behind it move down. None if there is no such place.
    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        let tail = self.as_mut_slice().get_mut(place..)?;
        if tail.is_empty() {
            return None;
        }
        tail.rotate_left(1);
        self.swap_remove(self.len() - 1)
    }

    /// Takes the entry at `place` out; the last one moves there. None if there is no such place.
    pub(crate) fn swap_remove(&mut self, place: usize) -> Option<T> {
        if place >= self.len() {
            return None;
        }
        match std::mem::take(self) {
            Self::None => None,
            Self::One(one) => Some(one),
            Self::Many(mut many) => {
                let gone = many.swap_remove(place);
                *self = match (many.len(), many.pop()) {
                    (_, None) => Self::None,
                    (1, Some(last)) => Self::One(last),
                    (_, Some(last)) => {
                        many.push(last);
                        if many.capacity() > 16 && many.len() * 4 < many.capacity() {
                            let room = many.len() * 2;
                            room::refit(&mut many, room);
                        }
                        Self::Many(many)
                    }
                };
                Some(gone)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_a_vector_holds() {
        let mut few = Few::None;
        let mut naive = Vec::new();
        for step in 0..200_usize {
            if step % 7 < 4 || naive.is_empty() {
                few.push(step);
                naive.push(step);
            } else {
                let place = step * 31 % naive.len();
                assert_eq!(few.swap_remove(place), Some(naive.swap_remove(place)));
            }
            assert_eq!(few.as_slice(), naive);
            if step % 5 == 0 {
                let place = step * 17 % (naive.len() + 1);
                few.insert(place, step);
                naive.insert(place, step);
            } else if step % 11 == 0 && !naive.is_empty() {
                let place = step * 13 % naive.len();
                assert_eq!(few.remove(place), Some(naive.remove(place)));
            }
            assert_eq!(few.as_slice(), naive);
            assert_eq!(few.remove(naive.len()), None);
        }
        while let Some(last) = naive.pop() {
            assert_eq!(few.swap_remove(naive.len()), Some(last));
        }
        assert!(few.is_empty() && few.swap_remove(0).is_none() && matches!(few, Few::None));
    }
}
