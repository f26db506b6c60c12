//! The views against trees that real machines had, and against trees that none should have.

mod captured;
mod made;
mod malformed;
