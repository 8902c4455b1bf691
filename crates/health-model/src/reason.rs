//! The closed vocabulary: one word for why a check stands as it does, the same in status, JSON, metrics, logs and page.

use serde::{Deserialize, Serialize};

/// What kind of fact a [`Reason`] is, and so what it does to `healthy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasonClass {
    /// The probe ran and all was well.
    Good,
    /// The probe ran and the answer was judged bad: unhealthy, state `Active`.
    Judged,
    /// The probe could not be carried out, and that is the target's word: unhealthy, state `Errored`.
    NotCarriedOut,
    /// The fault is ours (credentials, network, scheduling): `healthy` keeps its last known value, the check is stale.
    Ours,
    /// The target was not asked, or said nothing about its health: `healthy` keeps its last known value.
    NotAsked,
}

/// The check's state as published: whether it could be judged at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub enum State {
    /// The probe ran and was judged, or has yet to run.
    Active,
    /// The target answered 429; the next probe waits.
    CheckBackoff,
    /// The configuration is wrong, or the probe could not be carried out.
    Errored,
}

impl State {
    /// The published word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::CheckBackoff => "CheckBackoff",
            Self::Errored => "Errored",
        }
    }
}

macro_rules! reasons {
    ($($class:ident { $($(#[$doc:meta])* $name:ident),+ $(,)? })+) => {
        /// Why a check stands as it does. The set is closed: everything that shows a reason shows one of these words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum Reason { $($($(#[$doc])* $name,)+)+ }

        impl Reason {
            /// Every reason there is, for tests, documentation and filters.
            pub const ALL: &'static [Reason] = &[$($(Reason::$name,)+)+];

            /// The word itself.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)+)+ }
            }

            /// What kind of fact it is.
            pub const fn class(self) -> ReasonClass {
                match self { $($(Self::$name => ReasonClass::$class,)+)+ }
            }
        }
    };
}

reasons! {
    Good {
        /// The probe ran and everything asked for was there.
        Succeeded,
    }
    Judged {
        /// The status code is none of the expected ones.
        UnexpectedStatus,
        /// The body misses what was searched for (or holds what must be absent).
        ContentMismatch,
        /// A response header is not as expected.
        HeaderMismatch,
        /// An assertion or a JSON expectation does not hold, or could not be evaluated.
        AssertionFailed,
        /// The answer of a dialogue, a datagram or a name server is not as expected.
        UnexpectedAnswer,
        /// A gRPC health service says anything but SERVING.
        NotServing,
        /// The answer came, but later than `maxLatency`.
        TooSlow,
        /// More echo requests were lost than allowed.
        PacketLoss,
        /// The certificate expires sooner than `sslCheck.expiration` allows.
        CertificateExpiring,
        /// The body is larger than `maxBodyBytes`, and something had to look at it.
        BodyTooLarge,
        /// The redirect limit was reached.
        TooManyRedirects,
        /// No heartbeat arrived in time.
        HeartbeatMissed,
        /// A heartbeat arrived and said it is not healthy.
        ReportedUnhealthy,
    }
    NotCarriedOut {
        /// The deadline passed.
        Timeout,
        /// Nobody listens there.
        ConnectionRefused,
        /// The peer, or something between, broke the connection.
        ConnectionReset,
        /// There is no way to that address.
        Unreachable,
        /// The name has no address (of the family asked for).
        NameNotResolved,
        /// TLS could not be agreed on.
        TlsHandshakeFailed,
        /// The certificate has expired.
        CertificateExpired,
        /// The certificate is not valid yet.
        CertificateNotYetValid,
        /// The certificate is for other names.
        CertificateNameMismatch,
        /// The certificate's issuer is not trusted, or it is self-signed.
        CertificateUntrusted,
        /// The peer does not speak the protocol, or speaks it wrongly.
        ProtocolError,
        /// The manifest is wrong; the response names the field and the remedy.
        InvalidConfiguration,
        /// The address policy forbids to connect there.
        AddressForbidden,
    }
    Ours {
        /// A Secret or ConfigMap that the check refers to cannot be read.
        CredentialsUnavailable,
        /// Our own network is lost: every witness is out of reach.
        NetworkLost,
        /// We were paused, starved or broken while the probe was in flight.
        ProberFault,
    }
    NotAsked {
        /// Not probed yet.
        Pending,
        /// The target asked us to come back later (429).
        RateLimited,
        /// The check is suspended.
        Suspended,
    }
}

impl Reason {
    /// The published state that this reason puts a check into.
    pub const fn state(self) -> State {
        match self.class() {
            ReasonClass::NotCarriedOut | ReasonClass::Ours => State::Errored,
            ReasonClass::Good | ReasonClass::Judged => State::Active,
            ReasonClass::NotAsked => match self {
                Self::RateLimited => State::CheckBackoff,
                _ => State::Active,
            },
        }
    }

    /// Reads a word of the vocabulary, as it is written.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
