#![cfg(feature = "store")]
