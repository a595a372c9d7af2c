//! Real servers that put a report off and take it later.

mod as_root {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use crate::answers::{Deliverer, Sender};
    use crate::support::harness::wait_for;
    use crate::support::servers::certs::Certs;
    use crate::support::servers::postfix::Postfix;
    use crate::support::servers::rsyslog::Rsyslog;
    use crate::support::servers::synapse::Synapse;
    use crate::victim::tell;

    #[test]
    fn a_report_that_a_real_server_puts_off_is_taken_later_and_once() {
        let mut sender = Sender::new();
        let certs = Certs::issue();
        let (postfix, synapse, mut rsyslog) = (
            Postfix::start(&certs),
            Synapse::start_limited(0.2, 1),
            Rsyslog::start(&certs),
        );
        for to in ["ops", "slow", "greylisted"] {
            let rest = format!(
                "server = 'localhost'\nport = {}\ntls = 'none'\nto = ['{to}@example.test']",
                postfix.plain
            );
            sender.sink(
                "email",
                to,
                &format!("{rest}\nfrom = 'lastwords@example.test'"),
            );
        }
        let token = sender.machine.root.join("etc/token");
        fs::write(&token, &synapse.token).unwrap();
        fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
        let room = format!(
            "homeserver = '{}'\nroom = '{}'",
            synapse.homeserver, synapse.room
        );
        sender.sink(
            "matrix",
            "limited",
            &format!("{room}\ntoken_file = '/etc/token'"),
        );
        sender.sink(
            "syslog",
            "gone",
            &format!("address = 'tcp://127.0.0.1:{}'", rsyslog.tcp),
        );
        rsyslog.stop();

        let ids = [sender.put(1), sender.put(2)];
        let began = Instant::now();
        let _deliverer = Deliverer(sender.deliver(&["--watch"]).spawn().unwrap());
        let put_off = |id, sink: &str, told: &str| {
            let ledger = sender.ledger(id, sink);
            ledger.is_some_and(|it| {
                it.next_try.is_some() && it.last_error.is_some_and(|why| why.contains(told))
            })
        };
        wait_for("greylisting", || {
            put_off(&ids[0], "greylisted", "Greylisted")
        });
        wait_for("a server that is gone", || {
            put_off(&ids[0], "gone", "refused")
        });
        wait_for("Synapse's limit", || {
            put_off(&ids[1], "limited", "M_LIMIT_EXCEEDED")
        });
        postfix.end_greylisting();
        rsyslog.start_again();
        let sent = |sink: &str| {
            ids.iter().all(|id| {
                sender
                    .ledger(id, sink)
                    .is_some_and(|ledger| ledger.was_sent())
            })
        };
        for sink in ["ops", "slow", "greylisted", "limited", "gone"] {
            wait_for(sink, || sent(sink));
        }
        let at = |sink: &str| sender.ledger(&ids[1], sink).unwrap().last_try.unwrap();
        assert!(at("ops") < at("slow"), "a sink waited for the slow one");
        for to in ["ops", "slow", "greylisted"] {
            wait_for(to, || postfix.mails(to).len() == 2);
        }
        assert_eq!(synapse.messages().len(), 2);
        wait_for("both records", || rsyslog.records().len() == 2);
        tell(
            "servers: Postfix greylists and is slow, Synapse limits, rsyslog is gone and back",
            &[began.elapsed()],
        );
    }
}
