//! Networks that lose packets, and name servers that do not answer.

mod as_root {
    use std::net::UdpSocket;
    use std::process::Command;

    use lastwords::Ledger;

    use crate::answers::Sender;
    use crate::namespaces::in_private;
    use crate::support::stand_in::{Client, StandIn, http};
    use crate::victim::{is_slow, tell};

    fn put_off<'a>(name: &str, ledger: &'a Ledger) -> &'a str {
        assert!(ledger.next_try.is_some(), "{name}: {ledger:?}");
        ledger
            .last_error
            .as_deref()
            .unwrap_or_else(|| panic!("{name}: {ledger:?}"))
    }

    /// A firewall. It is removed at the end, so that the stand-ins see their connections end.
    struct Cut;

    impl Cut {
        fn by(rules: &[String]) -> Self {
            for rule in rules {
                assert!(
                    Command::new("nft").arg(rule).status().unwrap().success(),
                    "{rule}"
                );
            }
            Self
        }
    }

    impl Drop for Cut {
        fn drop(&mut self) {
            let _ = Command::new("nft").arg("delete table ip faults").status();
        }
    }

    #[test]
    fn a_server_that_is_silently_cut_off_delays_no_other_sink() {
        let test = "network::as_root::a_server_that_is_silently_cut_off_delays_no_other_sink";
        in_private(test, &["--mount", "--net"], "ip link set lo up", || {
            let mut sender = Sender::new();
            let [smtp, slack, syslog, unreachable] = [(); 4].map(|()| StandIn::start(Client::hang));
            // The first three servers get the handshake and nothing after it. The last one gets
            // nothing.
            let rules = [
                "add table ip faults".to_owned(),
                "add chain ip faults input { type filter hook input priority 0; }".to_owned(),
                format!(
                    "add rule ip faults input tcp dport {{ {}, {}, {} }} tcp flags & syn == 0 drop",
                    smtp.port, slack.port, syslog.port
                ),
                format!(
                    "add rule ip faults input tcp dport {} drop",
                    unreachable.port
                ),
            ];
            let _cut = Cut::by(&rules);
            sender.email("smtp", smtp.port, "none");
            sender.sink(
                "syslog",
                "syslog",
                &format!("address = 'tcp://127.0.0.1:{}'", syslog.port),
            );
            sender.sink(
                "syslog",
                "unreachable",
                &format!("address = 'tcp://127.0.0.1:{}'", unreachable.port),
            );
            sender.sink("exec", "well", "command = ['true']");
            let mut names = vec!["smtp", "syslog", "unreachable", "well"];
            if is_slow() {
                sender.slack("slack", &format!("http://127.0.0.1:{}/x", slack.port));
                names.push("slack");
            }
            let id = sender.put(1);
            let mut tried = sender.first_tries(&id, &names);
            let well = tried.remove("well").unwrap();
            assert!(well.was_sent(), "{well:?}");
            for (name, ledger) in &tried {
                put_off(name, ledger);
                assert!(well.last_try < ledger.last_try, "{name}: {ledger:?}");
                tell(&format!("network: half-open TCP, {name}"), &[]);
            }
        });
    }

    #[test]
    fn a_dead_name_server_delays_no_other_sink() {
        let options = if is_slow() {
            "options timeout:30 attempts:5"
        } else {
            ""
        };
        let setup = format!(
            "ip link set lo up; mount -t tmpfs none /mnt; \
             printf 'nameserver 127.0.0.77\\n{options}\\n' >/mnt/resolv.conf; \
             echo 'hosts: files dns' >/mnt/nsswitch.conf; \
             mount --bind /mnt/resolv.conf /etc/resolv.conf; mount --bind /mnt/nsswitch.conf /etc/nsswitch.conf"
        );
        let test = "network::as_root::a_dead_name_server_delays_no_other_sink";
        in_private(test, &["--mount", "--net"], &setup, || {
            let silent = UdpSocket::bind("127.0.0.77:53").unwrap();
            let mut sender = Sender::new();
            let slack = StandIn::http(http("200 OK", "", "ok"));
            sender.slack("well", &format!("http://127.0.0.1:{}/x", slack.port));
            sender.slack("slack", "https://hooks.example.test/x");
            sender.sink("syslog", "syslog", "address = 'udp://logs.example.test'");
            let mail =
                "to = ['ops@example.test']\nfrom = 'a@example.test'\nserver = 'mail.example.test'";
            let mut names = vec!["well", "slack", "syslog"];
            if !is_slow() {
                sender.sink("email", "email", mail);
                names.push("email");
            }
            let id = sender.put(1);
            let mut tried = sender.first_tries(&id, &names);
            let well = tried.remove("well").unwrap();
            assert!(well.was_sent(), "{well:?}");
            for (name, ledger) in &tried {
                let why = put_off(name, ledger);
                assert!(
                    !is_slow() || name == "slack" || why.contains("still running after 1m"),
                    "{name}: {why}"
                );
                assert!(well.last_try < ledger.last_try, "{name}: {ledger:?}");
                tell(&format!("network: dead DNS, {name}"), &[]);
            }
            silent.set_nonblocking(true).unwrap();
            assert!(silent.recv(&mut [0; 512]).is_ok(), "it was asked");
        });
    }
}
