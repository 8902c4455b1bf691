//! What a check is, what an outcome and its reason mean, and when a check turns.
//!
//! Everything here is pure: no clock is read, nothing is sent, opened or spawned. Time is always an argument
//! ([`jiff::Timestamp`] for wall time, [`std::time::Duration`] for spans), so every rule can be tested on any day.
//! A check enters as YAML, is parsed once by `health-manifests`, and from there on only these types exist.

mod backoff;
mod check;
mod expression;
mod identity;
mod maintenance;
mod outcome;
mod probe;
mod prober;
mod reason;
mod rule;
mod schedule;
mod secret;
mod shown_url;
mod standing;
mod status_set;
mod view;

pub use backoff::{DEFAULT_MAX_BACKOFF, backoff_delay};
pub use check::{CheckDefinition, CheckMeta, CheckSpec, IpFamily, Severity, SpecProblem, default_timeout};
pub use expression::{CelExpression, ExpressionError, JsonPath, Pattern};
pub use identity::{CheckId, ObjectId, RuleId};
pub use maintenance::{MaintenanceWindow, RecurringWindow, WindowError};
pub use outcome::{CertificateFacts, Evidence, Outcome, Phases};
pub use probe::{
    Assertion, BasicCredentials, ClientCertificate, DialogueStep, DnsProbe, DnsServer, DnsTransport, GrpcProbe,
    HeaderExpectation, HeaderRule, HeartbeatProbe, Host, HttpAuth, HttpProbe, HttpProxy, HttpVersion, IcmpProbe,
    JsonExpectation, JsonRule, NamedValue, OAuth2, Probe, ProbeKind, Search, SearchMatcher, StartTls, TcpProbe,
    TlsOptions, TlsVersion, UdpProbe, WebSocketProbe,
};
pub use prober::{ProbeFuture, ProbeRequest, Prober};
pub use reason::{Reason, ReasonClass, State};
pub use rule::{
    Channel, ChannelKind, EmailTls, LabelRequirement, LabelSelector, RuleDefinition, RuleSpec, SelectorOperator,
    SlackWebhook, Texts,
};
pub use schedule::{FIRST_PROBE_SPREAD, first_delay, next_slot, overdue_after, phase_offset};
pub use secret::Sensitive;
pub use shown_url::{confidential_parameters, is_confidential_parameter, shown_url};
pub use standing::{Standing, Transition, Verdict};
pub use status_set::{StatusSet, StatusSetError};
pub use view::{CertificateView, CheckView, EvidenceView, PhasesView};
