//! `paprika` itself, as its user starts it: with QEMUs that are none, with QEMUs that lie, and with QEMUs that are killed.

mod bench;
mod documents;
mod fake;
mod faults;
mod liars;
mod middle;
mod run;
