//! A certificate that expires is told once.

use std::sync::Arc;

use health_model::{CertificateFacts, HttpProbe, Outcome, Probe, Reason};
use health_notifications::{Observation, Telling};
use jiff::Timestamp;

use crate::{
    build::{Target, at},
    desk::{Desk, rules_of, spec},
};

fn certificate(target: &mut Target, fingerprint: &str, now: Timestamp) -> Observation {
    let facts = CertificateFacts {
        not_after: at(86_400),
        not_before: at(-86_400),
        chain_not_after: at(86_400),
        issuer: "CN=ca".to_owned(),
        subject: "CN=example.org".to_owned(),
        dns_names: vec!["example.org".to_owned()],
        chain_length: 1,
        fingerprint: fingerprint.to_owned(),
    };
    let outcome = Outcome {
        certificate: Some(Arc::new(facts)),
        ..Outcome::new(Reason::CertificateExpiring, "the certificate expires in 1 day")
    };
    target.outcome(outcome, now)
}

fn tls_target(name: &str) -> Target {
    let mut target = Target::new(name);
    target.edit(|spec| {
        let mut http = HttpProbe::get("https://example.org/".parse().unwrap());
        http.certificate_expiry_days = Some(10);
        spec.probe = Probe::Http(Box::new(http));
    });
    target
}

#[test]
fn a_certificate_that_expires_is_told_once_however_many_checks_see_it_and_copies_rotate() {
    let (mut web, mut api) = (tls_target("web"), tls_target("api"));
    let mut desk = Desk::with(rules_of(spec()), &[&web, &api]);
    desk.see(certificate(&mut web, "aa", at(0)));
    desk.until(5);
    desk.see(certificate(&mut api, "bb", at(5)));
    desk.until(10);
    assert_eq!(desk.tellings(), [Telling::Firing]);
    // A copy that was renewed answers now and then.
    for round in 0..4 {
        let second = 2000 + round * 2000;
        desk.until(second);
        desk.see(web.passes(at(second)));
        desk.until(second + 1000);
        desk.see(certificate(&mut web, "cc", at(second + 1000)));
    }
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
}

#[test]
fn what_fails_for_another_reason_than_its_certificate_is_told_all_the_same() {
    let (mut web, mut api) = (tls_target("web"), tls_target("api"));
    let mut desk = Desk::with(rules_of(spec()), &[&web, &api]);
    desk.see(certificate(&mut web, "aa", at(0)));
    desk.until(5);
    desk.see(certificate(&mut api, "aa", at(5)));
    desk.until(10);
    desk.see(api.fails(at(10)));
    desk.until(20);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Firing]);
    assert_eq!(desk.told[1].2, ["api"]);
}

#[test]
fn a_certificate_that_was_told_is_not_told_again_after_a_restart() {
    let (mut web, mut api) = (tls_target("web"), tls_target("api"));
    let mut desk = Desk::with(rules_of(spec()), &[&web, &api]);
    desk.see(certificate(&mut web, "aa", at(0)));
    desk.until(5);
    desk.restart(rules_of(spec()), &mut [&mut web, &mut api]);
    desk.see(certificate(&mut web, "aa", at(10)));
    desk.see(certificate(&mut api, "bb", at(10)));
    desk.until(100);
    desk.see(web.passes(at(100)));
    desk.see(api.passes(at(100)));
    desk.until(110);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
    desk.restart(rules_of(spec()), &mut [&mut web, &mut api]);
    desk.see(certificate(&mut web, "cc", at(2000)));
    desk.until(2100);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved], "the same host, certificate and threshold");
}

#[test]
fn another_threshold_or_a_renewed_certificate_is_told_anew() {
    let mut web = tls_target("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(certificate(&mut web, "aa", at(0)));
    desk.until(5);
    desk.see(web.passes(at(5)));
    desk.until(2000);
    web.edit(|spec| {
        if let Probe::Http(http) = &mut spec.probe {
            http.certificate_expiry_days = Some(3);
        }
    });
    desk.see(certificate(&mut web, "aa", at(2000)));
    desk.until(2010);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved, Telling::Firing]);
}
