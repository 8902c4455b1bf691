//! From what was written to what it means: every conversion collects its faults here and goes on.

pub(crate) mod channel;
pub(crate) mod check;
pub(crate) mod dns;
pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod expression;
pub(crate) mod grpc;
pub(crate) mod heartbeat;
pub(crate) mod http;
pub(crate) mod icmp;
pub(crate) mod rule;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;
pub(crate) mod url;
pub(crate) mod value;
pub(crate) mod websocket;

use std::{collections::BTreeSet, fmt};

use crate::{
    material::{Materials, Reference},
    problem::Fault,
};

/// One conversion under way: where references are read, and what was found wrong.
pub(crate) struct Conversion<'a> {
    /// Where references are read; without it they are only noted, and secret values are taken as good.
    pub(crate) materials: Option<&'a dyn Materials>,
    /// The namespace of the object.
    pub(crate) namespace: &'a str,
    /// What is wrong with the manifest.
    pub(crate) faults: Vec<Fault>,
    /// References that could not be read, one line each.
    pub(crate) unavailable: Vec<String>,
    /// Every reference met.
    pub(crate) references: BTreeSet<Reference>,
}

impl<'a> Conversion<'a> {
    /// A conversion that has found nothing yet.
    pub(crate) const fn new(namespace: &'a str, materials: Option<&'a dyn Materials>) -> Self {
        Self { materials, namespace, faults: Vec::new(), unavailable: Vec::new(), references: BTreeSet::new() }
    }

    /// Notes a fault whose value is not to be shown.
    pub(crate) fn fault(&mut self, path: impl fmt::Display, message: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(Fault::new(path, message, remedy));
    }

    /// Notes a fault and shows the value.
    pub(crate) fn fault_showing(
        &mut self,
        path: impl fmt::Display,
        value: impl fmt::Display,
        (message, remedy): (impl Into<String>, impl Into<String>),
    ) {
        self.faults.push(Fault::new(path, message, remedy).showing(value));
    }
}
