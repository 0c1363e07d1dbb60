//! What works on threads of its own, beside the loop: it may block, the loop may not.
//!
//! Each of these is given plain owned data through a queue and answers by a callback that hands its
//! words to the loop. None of them knows who gives and who listens.

pub mod store;
