//! The machine itself: the only unsafe code of the crate.
