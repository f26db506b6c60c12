//! Decisions about connectors, and the hypervisor's half to try them against. Nothing here does I/O.
//!
//! An event becomes a [`plan`] against the [`inventory`]; each connector of the plan is taken through its states by a
//! [`connector::Walk`], which is told what each call answered and says what to call next; what configure-connector
//! hands out is collected into a [`fragment`]. A [`policy`] treats a request otherwise than it is asked for, and
//! [`transitions`] is the tour through every call from every state. [`model`] is the other side: what the hypervisor
//! answers, as an executable form of its rules. It is the fake of the tests and the oracle for runs against a real one.

#[cfg(test)]
mod captured;
pub mod connector;
pub mod fragment;
pub mod inventory;
pub mod model;
pub mod note;
pub mod plan;
pub mod policy;
mod state;
pub mod transitions;

pub use state::State;
