//! The words that records are made with: what is asked, what became of it, how bad it is.

use crate::word_enum;

word_enum! {
    /// Which way a device goes.
    pub enum Request {
        /// The host plugged it.
        Add = "add",
        /// The host wants it back.
        Remove = "remove",
    }
}

word_enum! {
    /// How the guest learned of something.
    pub enum Learned {
        /// It stands in the device tree.
        Tree = "tree",
        /// A hotplug event told.
        Event = "event",
        /// An earlier life of this guest had it, and handed it over without a reset.
        Life = "life",
    }
}

word_enum! {
    /// What became of a request.
    pub enum Outcome {
        /// Acquired, configured and used.
        Taken = "taken",
        /// Given back to the platform.
        Released = "released",
        /// The guest had it already and goes on with it.
        Kept = "kept",
        /// It did not work; what had been acquired was given back.
        Failed = "failed",
        /// It did not work, and what had been acquired could not be given back.
        Stuck = "stuck",
        /// Nothing was done: there is nothing to do, or nothing that this guest can do.
        Ignored = "ignored",
    }
}

word_enum! {
    /// What happened to a node of the device tree.
    pub enum Change {
        /// It is new.
        Came = "came",
        /// It is gone.
        Went = "went",
        /// It has other properties.
        Changed = "changed",
    }
}

word_enum! {
    /// How bad a problem is.
    pub enum Severity {
        /// The guest goes on as if it had not been.
        Minor = "minor",
        /// Something that was to be shown could not be.
        Major = "major",
        /// The guest ends.
        Fatal = "fatal",
    }
}

word_enum! {
    /// What the guest thinks of its own life.
    pub enum Verdict {
        /// Everything that was asked of it worked.
        Pass = "pass",
        /// Something failed; the records above say what.
        Fail = "fail",
    }
}
