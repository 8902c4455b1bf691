//! Which addresses and names may be asked at all.
//!
//! Every protocol asks here before it sends anything: for the name, and for every address the name resolved to, on every
//! hop. An address is judged in each form it can be read in (IPv4 inside IPv6, the unspecified address as the loopback it
//! reaches), so that no spelling slips through. Nothing is resolved here.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use health_model::{Host, Reason};

use crate::failure::Failure;

/// Where clouds hand out credentials to whoever asks from inside. Denied unless exactly this address is allowed.
const METADATA: &[(IpAddr, &str)] = &[
    (IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), "AWS, Azure, Google, OpenStack, Oracle, DigitalOcean"),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)), "AWS ECS"),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)), "AWS EKS"),
    (IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), "Alibaba"),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)), "Tencent"),
    (IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), "Azure"),
    (IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)), "Oracle"),
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)), "AWS"),
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x23)), "AWS EKS"),
    (IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254)), "Google"),
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)), "Oracle"),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe)), "OpenStack"),
];

/// The names of such places. Who resolves a name here is judged by the address; these are for names that a proxy resolves.
const METADATA_NAMES: &[(&str, &str)] = &[
    ("metadata.google.internal", "Google"),
    ("metadata.goog", "Google"),
    ("instance-data", "AWS"),
    ("instance-data.ec2.internal", "AWS"),
    ("metadata.tencentyun.com", "Tencent"),
];

/// A rule of `--allow-targets` or `--deny-targets` was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{rule:?} is no target rule ({problem}): write a CIDR (10.0.0.0/8), an address, or a host pattern (*.internal)"
)]
pub struct PolicyError {
    /// The rule as written.
    pub rule: String,
    problem: &'static str,
}

/// Which targets may be asked: deny wins; an allow list denies the rest; cloud metadata addresses are denied unless an
/// allow rule names exactly that address.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    source: String,
    matcher: Matcher,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Matcher {
    Network(Network),
    /// A host pattern, lower case, without final dot; `*` stands for any run of characters, dots included.
    Host(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    prefix: u8,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl AddressPolicy {
    /// Reads the rules of `--allow-targets` and `--deny-targets`, one element each; empty elements are ignored.
    ///
    /// # Errors
    /// Names the first rule that is neither CIDR, address nor host pattern.
    pub fn new<S: AsRef<str>>(allow: &[S], deny: &[S]) -> Result<Self, PolicyError> {
        let read = |rules: &[S]| {
            let written = rules.iter().map(|rule| rule.as_ref().trim()).filter(|rule| !rule.is_empty());
            written.map(Rule::parse).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { allow: read(allow)?, deny: read(deny)? })
    }

    /// Whether the operator gave rules of their own.
    pub fn is_default(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Judges a host before it is resolved. A literal is judged as the address it is.
    ///
    /// # Errors
    /// [`Reason::AddressForbidden`], naming rule and host.
    pub fn check_host(&self, host: &Host) -> Result<(), Failure> {
        match host {
            Host::Address(address) => self.check_address(*address, host),
            Host::Name(name) => match self.deny.iter().find(|rule| rule.matches_host(name)) {
                Some(rule) => Err(forbidden(format_args!("{name} is denied by the rule {rule}"))),
                None => Ok(()),
            },
        }
    }

    /// Judges an address that `host` resolved to (or is).
    ///
    /// # Errors
    /// [`Reason::AddressForbidden`], naming rule and address.
    pub fn check_address(&self, address: IpAddr, host: &Host) -> Result<(), Failure> {
        let readings = Readings::of(address);
        let shown = Shown { address, host };
        if let Some(rule) = self.deny.iter().find(|rule| readings.any(|reading| rule.matches_address(reading))) {
            return Err(forbidden(format_args!("{shown} is denied by the rule {rule}")));
        }
        if let Some((denied, cloud)) = METADATA.iter().find(|(denied, _)| readings.any(|reading| reading == *denied))
            && !self.allow.iter().any(|rule| rule.is_exactly(*denied))
        {
            return Err(forbidden(format_args!(
                "{shown} is denied by the built-in rule {denied} (cloud metadata: {cloud})"
            )));
        }
        let allowed = self.allow.is_empty()
            || self.allow.iter().any(|rule| {
                rule.matches_address(readings.canonical) || matches!(host, Host::Name(name) if rule.matches_host(name))
            });
        if allowed {
            Ok(())
        } else {
            Err(forbidden(format_args!("{shown} is in none of the allowed targets (--allow-targets)")))
        }
    }

    /// Judges a name that somebody else (a proxy) resolves: only what the name itself allows is allowed. The names of
    /// cloud metadata services are denied unless an allow rule names exactly that one.
    ///
    /// # Errors
    /// [`Reason::AddressForbidden`].
    pub fn check_unresolved(&self, host: &Host) -> Result<(), Failure> {
        self.check_host(host)?;
        if let Some((name, cloud)) = self.denied_metadata_name(host) {
            return Err(forbidden(format_args!(
                "{host} is denied by the built-in rule {name} (cloud metadata: {cloud})"
            )));
        }
        match host {
            Host::Name(name) if !self.allow.is_empty() && !self.allow.iter().any(|rule| rule.matches_host(name)) => {
                Err(forbidden(format_args!("{name} is in none of the allowed targets (--allow-targets)")))
            }
            Host::Name(_) | Host::Address(_) => Ok(()),
        }
    }

    fn denied_metadata_name(&self, host: &Host) -> Option<(&'static str, &'static str)> {
        let Host::Name(name) = host else { return None };
        let name = normalised(name);
        let found = METADATA_NAMES.iter().find(|(known, _)| *known == name).copied();
        found.filter(|_| !self.allow.iter().any(|rule| rule.matcher == Matcher::Host(name.clone())))
    }
}

fn forbidden(message: fmt::Arguments<'_>) -> Failure {
    Failure::new(Reason::AddressForbidden, message.to_string())
}

struct Shown<'a> {
    address: IpAddr,
    host: &'a Host,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Address(_) => write!(f, "{}", self.address),
            Host::Name(name) => write!(f, "{} ({name})", self.address),
        }
    }
}

/// An address in every form in which it reaches somebody.
struct Readings {
    written: IpAddr,
    canonical: IpAddr,
    reached: IpAddr,
}

impl Readings {
    fn of(address: IpAddr) -> Self {
        let canonical = canonical(address);
        let reached = match canonical {
            // 0.0.0.0/8 and :: reach this very host.
            IpAddr::V4(v4) if v4.octets()[0] == 0 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other,
        };
        Self { written: address, canonical, reached }
    }

    fn any(&self, matches: impl Fn(IpAddr) -> bool) -> bool {
        matches(self.written) || matches(self.canonical) || matches(self.reached)
    }
}

/// The IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4), or the address itself.
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let segments = v6.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // ::1 and :: are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        _ => address,
    }
}

impl Rule {
    fn parse(source: &str) -> Result<Self, PolicyError> {
        let refused = |problem| PolicyError { rule: source.to_owned(), problem };
        let matcher = if let Some((base, prefix)) = source.split_once('/') {
            let base: IpAddr = bare(base).parse().map_err(|_| refused("no address before the slash"))?;
            let widest = if base.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= widest);
            Matcher::Network(Network {
                base,
                prefix: prefix.ok_or_else(|| refused("no prefix length after the slash"))?,
            })
        } else if let Ok(base) = bare(source).parse::<IpAddr>() {
            Matcher::Network(Network { base, prefix: if base.is_ipv4() { 32 } else { 128 } })
        } else {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '.' | '-' | '_');
            if !source.chars().all(known) || !source.contains(|c: char| c.is_ascii_alphabetic() || c == '*') {
                return Err(refused("not a host name"));
            }
            Matcher::Host(normalised(source))
        };
        Ok(Self { source: source.to_owned(), matcher })
    }

    fn matches_host(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Network(_) => false,
            Matcher::Host(pattern) => glob(pattern.as_bytes(), normalised(name).as_bytes()),
        }
    }

    fn matches_address(&self, address: IpAddr) -> bool {
        match &self.matcher {
            Matcher::Network(network) => network.contains(address),
            // Whoever means `localhost` means every address that is this host.
            Matcher::Host(pattern) => pattern == "localhost" && address.is_loopback(),
        }
    }

    fn is_exactly(&self, address: IpAddr) -> bool {
        let single = if address.is_ipv4() { 32 } else { 128 };
        matches!(self.matcher, Matcher::Network(Network { base, prefix }) if base == address && prefix == single)
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

fn bare(text: &str) -> &str {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text)
}

fn normalised(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether a name matches a pattern in which `*` stands for any run of characters; linear in name × stars.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut retry) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(expected) if *expected == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    p = after_star;
                    n = from + 1;
                    retry = Some((after_star, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn judge(allow: &[&str], deny: &[&str], host: &str, address: &str) -> Result<(), String> {
        let policy = AddressPolicy::new(allow, deny).unwrap();
        let host = Host::parse(host);
        policy
            .check_host(&host)
            .and_then(|()| policy.check_address(address.parse().unwrap(), &host))
            .map_err(|failure| failure.message)
    }

    #[rstest]
    #[case::v4("169.254.169.254")]
    #[case::mapped("::ffff:169.254.169.254")]
    #[case::compatible("::169.254.169.254")]
    #[case::translated("64:ff9b::a9fe:a9fe")]
    #[case::v6("fd00:ec2::254")]
    #[case::ecs("169.254.170.2")]
    #[case::alibaba("100.100.100.200")]
    fn metadata_is_denied_in_every_spelling(#[case] address: &str) {
        let message = judge(&[], &[], "rebound.example", address).unwrap_err();
        assert!(message.contains("built-in rule") && message.contains("rebound.example"), "{message}");
        judge(&["0.0.0.0/0", "::/0"], &[], "rebound.example", address).unwrap_err();
    }

    #[test]
    fn metadata_is_allowed_only_by_its_own_address() {
        judge(&["169.254.169.254"], &[], "m", "169.254.169.254").unwrap();
        judge(&["169.254.169.254/32"], &[], "m", "::ffff:169.254.169.254").unwrap();
        judge(&["169.254.169.254"], &["169.254.0.0/16"], "m", "169.254.169.254").unwrap_err();
    }

    #[rstest]
    #[case("metadata.google.internal")]
    #[case("Metadata.Google.Internal.")]
    #[case("instance-data.ec2.internal")]
    fn metadata_is_denied_by_name_where_a_proxy_resolves_it(#[case] name: &str) {
        let judge = |allow: &[&str]| AddressPolicy::new(allow, &[]).unwrap().check_unresolved(&Host::parse(name));
        assert!(judge(&[]).unwrap_err().message.contains("built-in rule"));
        assert!(judge(&["*"]).unwrap_err().message.contains("built-in rule"));
        judge(&[name]).unwrap();
    }

    #[rstest]
    #[case("127.0.0.1")]
    #[case("127.9.9.9")]
    #[case("0.0.0.0")]
    #[case("0.0.0.1")]
    #[case("::ffff:127.0.0.1")]
    #[case("::127.0.0.1")]
    #[case("::ffff:0.0.0.0")]
    fn denying_the_loopback_network_denies_every_way_to_it(#[case] address: &str) {
        judge(&[], &["127.0.0.0/8"], "alias.example", address).unwrap_err();
        judge(&[], &["localhost"], "alias.example", address).unwrap_err();
    }

    #[rstest]
    #[case("::1")]
    #[case("::")]
    fn denying_the_v6_loopback_denies_the_unspecified_address(#[case] address: &str) {
        judge(&[], &["::1"], "alias.example", address).unwrap_err();
        judge(&[], &["localhost"], "alias.example", address).unwrap_err();
        judge(&[], &["127.0.0.0/8"], "alias.example", address).unwrap();
    }

    #[rstest]
    #[case::deny_wins(&["10.0.0.0/8"], &["10.1.0.0/16"], "x", "10.1.2.3", false)]
    #[case::beside_the_denied(&["10.0.0.0/8"], &["10.1.0.0/16"], "x", "10.2.2.3", true)]
    #[case::allow_denies_the_rest(&["10.0.0.0/8"], &[], "x", "11.0.0.1", false)]
    #[case::allowed_host(&["*.internal"], &[], "db.Internal.", "11.0.0.1", true)]
    #[case::pattern_needs_its_dot(&["*.internal"], &[], "internal", "11.0.0.1", false)]
    #[case::no_suffix_trick(&["*.internal"], &[], "db.internal.evil.example", "11.0.0.1", false)]
    #[case::denied_host(&[], &["*.internal"], "db.internal", "11.0.0.1", false)]
    #[case::denied_host_absolute(&[], &["*.internal"], "DB.internal.", "11.0.0.1", false)]
    #[case::mapped_in_allowed(&["10.0.0.0/8"], &[], "x", "::ffff:10.0.0.1", true)]
    #[case::mapped_is_not_v6(&["::/0"], &[], "x", "::ffff:10.0.0.1", false)]
    #[case::everything_v4(&[], &["0.0.0.0/0"], "x", "8.8.8.8", false)]
    fn rules_are_followed(
        #[case] allow: &[&str],
        #[case] deny: &[&str],
        #[case] host: &str,
        #[case] address: &str,
        #[case] allowed: bool,
    ) {
        assert_eq!(judge(allow, deny, host, address).is_ok(), allowed);
    }

    #[test]
    fn the_failure_names_rule_and_address() {
        assert_eq!(
            judge(&[], &["10.0.0.0/8"], "db.example", "10.1.2.3").unwrap_err(),
            "10.1.2.3 (db.example) is denied by the rule 10.0.0.0/8"
        );
    }

    #[rstest]
    #[case("10.0.0.0/33")]
    #[case("ten/8")]
    #[case("a b")]
    #[case("1.2.3")]
    fn a_rule_that_is_none_is_refused_by_name(#[case] rule: &str) {
        assert_eq!(AddressPolicy::new(&[rule], &[]).unwrap_err().rule, rule);
    }
}
