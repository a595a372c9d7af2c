use super::*;
use crate::cause::kernel::{from_text, messages};
use crate::kmsg::Record;

const CGROUP: &str = "node invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
    memory: usage 65536kB, limit 65536kB, failcnt 109\n\
    memory+swap: usage 65536kB, limit 9007199254740988kB, failcnt 0\n\
    oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/web.service,task_memcg=/system.slice/web.service,task=node,pid=4242,uid=0\n\
    Memory cgroup out of memory: Killed process 4242 (node) total-vm:1051256kB, anon-rss:516180kB, file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0";
const KILL: Exit = Exit::Signal {
    name: String::new(),
    core_dumped: false,
};

fn told(text: &str, pid: Option<u32>, exit: &Exit, child: Option<u32>) -> Option<String> {
    let messages = from_text(text);
    let kill = Exit::Signal {
        name: "KILL".into(),
        core_dumped: false,
    };
    let exit = if *exit == KILL { &kill } else { exit };
    let scene = Scene {
        job: "web",
        pid,
        exit,
        log: None,
        kernel: ("kernel log", &messages),
    };
    read(&scene, child).map(|told| told.line)
}

#[test]
fn a_kill_at_a_cgroups_limit_says_which_and_whose() {
    assert_eq!(
        told(CGROUP, Some(4242), &KILL, None).unwrap(),
        "out of memory: killed by the kernel at its limit of 64 MiB (/system.slice/web.service), \
         program node"
    );
    let parents = CGROUP.replace(
        "oom_memcg=/system.slice/web.service",
        "oom_memcg=/system.slice",
    );
    assert!(
        told(&parents, Some(4242), &Exit::Unknown, None)
            .unwrap()
            .ends_with(
                "of /system.slice, which /system.slice/web.service is part of, program node"
            )
    );
}

#[test]
fn a_kill_for_want_of_the_machines_memory_says_how_much_it_held() {
    let text = "x invoked oom-killer: gfp_mask=0x1\n\
        oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/web.service,task=node,pid=4242,uid=0\n\
        Out of memory: Killed process 4242 (node) total-vm:1051256kB, anon-rss:524288kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0";
    assert_eq!(
        told(text, Some(4242), &KILL, None).unwrap(),
        "out of memory: the machine had none left; killed by the kernel with 512 MiB in memory, \
         program node"
    );
}

#[test]
fn the_words_of_older_kernels_are_known() {
    let text = "node invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=0\n\
        Task in /lxc/web killed as a result of limit of /lxc/web\n\
        memory: usage 131072kB, limit 131072kB, failcnt 60\n\
        Memory cgroup out of memory: Kill process 4242 (node) score 960 or sacrifice child\n\
        Killed process 4242 (node) total-vm:1051256kB, anon-rss:129024kB, file-rss:1024kB";
    assert!(
        told(text, Some(4242), &KILL, None)
            .unwrap()
            .contains("at its limit of 128 MiB (/lxc/web)")
    );
    let text = "Out of memory: Kill process 4242 (my (node)) score 960 or sacrifice child\n\
        Killed process 4242, UID 0, (my (node)) total-vm:1051256kB, anon-rss:129024kB, file-rss:1024kB";
    assert!(
        told(text, Some(4242), &KILL, None)
            .unwrap()
            .contains("127 MiB in memory")
    );
    assert_eq!(
        victim("Killed process 42 (my (node)) total-vm:1kB"),
        Some((42, "my (node)"))
    );
}

#[test]
fn a_wrappers_child_is_known_by_the_shells_word_or_by_the_jobs_own_cgroup() {
    let child = "out of memory: its process node (4242) was killed by the kernel at its limit";
    assert!(
        told(CGROUP, Some(4200), &Exit::Code(137), None)
            .unwrap()
            .starts_with(child)
    );
    assert!(
        told(CGROUP, Some(4200), &Exit::Code(1), Some(4242))
            .unwrap()
            .starts_with(child)
    );
    assert!(told(CGROUP, None, &KILL, None).is_some());
    // Helpers whose kill it survived; another child; an earlier life's; no kill.
    assert_eq!(told(CGROUP, Some(4200), &Exit::Code(0), None), None);
    assert_eq!(told(CGROUP, Some(4200), &Exit::Code(1), None), None);
    assert_eq!(told(CGROUP, Some(4200), &Exit::Unknown, None), None);
    assert_eq!(told(CGROUP, Some(4200), &KILL, None), None);
    assert_eq!(told(CGROUP, Some(4200), &Exit::Code(137), Some(4300)), None);
    assert_eq!(told(CGROUP, Some(5000), &Exit::Code(137), None), None);
    assert_eq!(told(CGROUP, Some(4242), &Exit::Code(1), None), None);
    for other in [
        "/system.slice/web2.service",
        "/web/db",
        "/docker/web.d",
        "/",
    ] {
        assert_eq!(
            told(
                &CGROUP.replace("/system.slice/web.service", other),
                Some(4200),
                &Exit::Code(137),
                None
            ),
            None
        );
    }
}

#[test]
fn a_block_that_was_left_out_lends_nothing_to_the_next_kill() {
    let text = format!(
        "{CGROUP}\nMemory cgroup out of memory: Killed process 4300 (node) total-vm:1kB, anon-rss:1024kB"
    );
    assert_eq!(
        told(&text, Some(4300), &KILL, None).unwrap(),
        "out of memory: killed by the kernel with 1.0 MiB in memory, at its cgroup's limit, program node"
    );
    // The summary of one and the kill of another, as nobody but a liar writes them.
    let text = CGROUP.replace("Killed process 4242", "Killed process 4243");
    assert!(
        !told(&text, Some(4243), &KILL, None)
            .unwrap()
            .contains("64 MiB")
    );
}

#[test]
fn all_of_a_group_die_together() {
    let text = CGROUP.replace(
        "Memory cgroup out of memory: Killed",
        "Tasks in /system.slice/web.service are going to be killed due to memory.oom.group set\nMemory cgroup out of memory: Killed",
    );
    let text = format!(
        "{text}\nMemory cgroup out of memory: Killed process 4200 (sh) total-vm:1kB, anon-rss:8kB"
    );
    assert!(
        told(&text, Some(4200), &KILL, None)
            .unwrap()
            .contains("at its limit of 64 MiB (/system.slice/web.service)")
    );
}

#[test]
fn a_kill_is_ours_only_with_our_pid_and_from_the_kernel_itself() {
    let is_oom_kill = |pid: u32, facility: u16, text: &str| {
        let records = [Record {
            level: 3,
            facility,
            seq: 1,
            micros: 1,
            text: text.into(),
        }];
        oom_kill(pid, &messages(&records)).is_some()
    };
    let line = "Memory cgroup out of memory: Killed process 4242 (node) total-vm:1051256kB, anon-rss:516180kB";
    assert!(is_oom_kill(4242, 0, line));
    assert!(is_oom_kill(
        4242,
        0,
        "Killed process 4242 (node) total-vm:1kB"
    ));
    assert!(!is_oom_kill(
        4242,
        0,
        "Out of memory: Kill process 4242 (node) score 9 or sacrifice child"
    ));
    assert!(!is_oom_kill(424, 0, line));
    assert!(!is_oom_kill(4242, 1, line));
    assert!(!is_oom_kill(4242, 0, &format!("lie: {line}")));
}
