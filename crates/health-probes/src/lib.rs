//! One file per protocol: how each kind of check is asked
