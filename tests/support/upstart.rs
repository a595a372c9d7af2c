//! A supervisor that imitates Upstart 1.x: one job's goal, its states, its processes, and its lines
//! in the kernel log, which it writes before the next process starts.
//!
//! It moves only when asked to ([`Job::wait_until`]), so that a scenario decides what happens while
//! a hook runs.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::conf::{Conf, Stanza};
use crate::support::harness::{Harness, PATIENCE, wait_for};
use crate::support::process::{PATH, Process};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Start,
    Stop,
    /// The main process ended while a hook ran. It is started again once the hook has ended.
    Respawn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    PreStart,
    Spawned,
    PostStart,
    Running,
    PreStop,
    Killed,
    PostStop,
}

/// One instance of a job under supervision.
pub struct Job<'h> {
    harness: &'h Harness,
    conf: Conf,
    name: String,
    instance: String,
    goal: Goal,
    state: State,
    main: Option<Process>,
    hook: Option<(&'static str, Process)>,
    start_env: Vec<(String, String)>,
    stop_env: Vec<(String, String)>,
    kill_at: Option<Instant>,
    respawns: (u32, Option<Instant>),
    history: Vec<&'static str>,
    main_pids: Vec<u32>,
    log: String,
    is_verbose: bool,
}

impl<'h> Job<'h> {
    pub fn new(harness: &'h Harness, name: &str, conf: &str) -> Self {
        Self {
            harness,
            conf: Conf::parse(conf),
            name: name.to_owned(),
            instance: String::new(),
            goal: Goal::Stop,
            state: State::Waiting,
            main: None,
            hook: None,
            start_env: Vec::new(),
            stop_env: Vec::new(),
            kill_at: None,
            respawns: (0, None),
            history: Vec::new(),
            main_pids: Vec::new(),
            log: String::new(),
            is_verbose: false,
        }
    }

    /// Makes init log what it only logs with `--verbose`.
    pub fn verbose(mut self) -> Self {
        self.is_verbose = true;
        self
    }

    /// Makes it one instance of its job.
    pub fn instance(mut self, name: &str) -> Self {
        name.clone_into(&mut self.instance);
        self
    }

    /// `start JOB`: returns once it runs or has failed to.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// `start JOB K=V…`, or a start event with variables.
    pub fn start_with(&mut self, env: &[(&str, &str)]) {
        self.begin_start(env);
        self.wait_until("it runs or has failed to", |job| {
            matches!(job.state, State::Running | State::Waiting)
        });
    }

    /// `start --no-wait JOB K=V…`
    pub fn begin_start(&mut self, env: &[(&str, &str)]) {
        self.start_env = owned(env);
        self.set_goal(Goal::Start);
    }

    /// `stop JOB`: returns once it has stopped.
    pub fn stop(&mut self) {
        self.stop_with(&[]);
    }

    /// `stop JOB K=V…`, or a stop event with variables.
    pub fn stop_with(&mut self, env: &[(&str, &str)]) {
        self.begin_stop(env);
        self.wait_for(State::Waiting);
    }

    /// `stop --no-wait JOB K=V…`
    pub fn begin_stop(&mut self, env: &[(&str, &str)]) {
        self.stop_env = owned(env);
        self.set_goal(Goal::Stop);
    }

    /// `restart JOB`: returns once it runs again.
    pub fn restart(&mut self) {
        self.set_goal(Goal::Stop);
        self.set_goal(Goal::Start);
        self.wait_for(State::Running);
    }

    /// `kill -SIGNAL` from somewhere else.
    pub fn kill_main(&self, signal: Signal) {
        self.main
            .as_ref()
            .expect("the main process runs")
            .kill(signal);
    }

    pub fn wait_for(&mut self, state: State) {
        self.wait_until(&format!("{state:?}"), |job| job.state == state);
    }

    /// Waits until the main process has been started `number` times and runs.
    pub fn wait_for_life(&mut self, number: usize) {
        self.wait_until(&format!("life {number}"), |job| {
            job.lives() >= number && job.state == State::Running
        });
    }

    /// Goes on supervising until `reached`.
    pub fn wait_until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached(self) {
            assert!(Instant::now() < deadline, "{what} did not come: {self:?}");
            self.step();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn is_running(&self) -> bool {
        self.state == State::Running && self.main_runs()
    }

    pub fn main_runs(&self) -> bool {
        self.main.is_some()
    }

    /// Returns the number of times that the main process was started.
    pub fn lives(&self) -> usize {
        self.main_pids.len()
    }

    /// Returns the pid of the main process of its latest life.
    pub fn main_pid(&self) -> u32 {
        *self.main_pids.last().expect("it was started")
    }

    /// Returns the processes that were run and the signals that were sent, in order.
    pub fn history(&self) -> String {
        self.history.join(" ")
    }

    /// Returns the output of all its processes.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Returns the name in init's lines.
    pub fn log_name(&self) -> String {
        if self.instance.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.instance)
        }
    }

    /// Checks once whether a process has ended, and acts on that.
    fn step(&mut self) {
        if let Some(status) = self.main.as_mut().and_then(Process::poll) {
            let main = self.main.take().expect("just polled");
            self.keep_log(&main.output());
            self.log_end("main", main.pid(), status);
            self.main_ended(status);
        }
        if let Some(status) = self.hook.as_mut().and_then(|(_, hook)| hook.poll()) {
            let (name, hook) = self.hook.take().expect("just polled");
            self.keep_log(&hook.output());
            self.log_end(name, hook.pid(), status);
            self.hook_ended(name, status);
        }
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill_at = None;
            self.signal_group("KILL", Signal::KILL);
        }
    }

    /// Keeps what a process wrote, as `console log` does where there is a directory for it.
    fn keep_log(&mut self, output: &str) {
        let instance = if self.instance.is_empty() {
            String::new()
        } else {
            format!("-{}", self.instance)
        };
        let name = format!("{}{instance}.log", self.name).replace('/', "_");
        let file = self.harness.root.join("var/log/upstart").join(name);
        if !output.is_empty() && file.parent().is_some_and(Path::is_dir) {
            let log = OpenOptions::new().append(true).create(true).open(file);
            log.and_then(|mut log| log.write_all(output.as_bytes()))
                .expect("the job's log");
        }
        self.log += output;
    }

    /// A change of the goal moves only a job that is at rest.
    fn set_goal(&mut self, goal: Goal) {
        let induced = match goal {
            Goal::Start => self.state == State::Waiting,
            Goal::Stop => self.state == State::Running,
            Goal::Respawn => false,
        };
        self.change_goal(goal);
        if induced {
            self.go_on();
        }
    }

    fn change_goal(&mut self, goal: Goal) {
        if self.is_verbose && goal != self.goal {
            let [from, to] = [self.goal, goal].map(|goal| format!("{goal:?}").to_lowercase());
            let name = self.log_name();
            self.harness
                .kernel_log(format!("init: {name} goal changed from {from} to {to}"));
        }
        self.goal = goal;
        self.tell_initctl();
    }

    /// Lets `initctl status` know, where the scenario has one.
    fn tell_initctl(&self) {
        let name = format!("{:02x?}", self.log_name().as_bytes());
        let goal = if self.goal == Goal::Stop {
            "stop"
        } else {
            "start"
        };
        let state = match self.state {
            State::Waiting => "waiting",
            State::PreStart => "pre-start",
            State::Spawned => "spawned",
            State::PostStart => "post-start",
            State::Running => "running",
            State::PreStop => "pre-stop",
            State::Killed => "killed",
            State::PostStop => "post-stop",
        };
        let line = format!("{} {goal}/{state}, process 1\n", self.log_name());
        // Without that directory there is no initctl.
        let _ = std::fs::write(self.harness.initctl_dir().join(name), line);
    }

    fn go_on(&mut self) {
        loop {
            let from = self.state;
            self.state = self.next_state();
            self.tell_initctl();
            if self.enter(from) {
                break;
            }
        }
    }

    fn next_state(&mut self) -> State {
        let leave = if self.goal == Goal::Respawn {
            self.change_goal(Goal::Start);
            true
        } else {
            self.goal == Goal::Stop
        };
        match (self.state, leave) {
            (State::PostStop, true) => State::Waiting,
            (State::Waiting | State::PostStop, _) => State::PreStart,
            (State::PreStart, false) => State::Spawned,
            (State::Spawned, false) => State::PostStart,
            (State::PostStart | State::PreStop, false) => State::Running,
            (State::Running, true) if self.main.is_some() => State::PreStop,
            (State::Killed, _) => State::PostStop,
            (
                State::PreStart
                | State::Spawned
                | State::PostStart
                | State::Running
                | State::PreStop,
                _,
            ) => State::Killed,
        }
    }

    /// Does what its new state asks for. Returns true if it rests there.
    fn enter(&mut self, from: State) -> bool {
        match self.state {
            State::Waiting => true,
            State::PreStart => {
                let stanza = self.conf.pre_start.clone();
                self.run_hook("pre-start", stanza)
            }
            State::Spawned => {
                self.stop_env.clear();
                self.run_main();
                false
            }
            State::PostStart => {
                let stanza = self.conf.post_start.clone();
                self.run_hook("post-start", stanza)
            }
            State::Running => {
                if from == State::PreStop {
                    self.stop_env.clear();
                }
                true
            }
            State::PreStop => {
                let stanza = self.conf.pre_stop.clone();
                self.run_hook("pre-stop", stanza)
            }
            State::Killed if self.main.is_some() => {
                self.signal_group("TERM", Signal::TERM);
                self.kill_at = Some(Instant::now() + self.conf.kill_timeout);
                true
            }
            State::Killed => false,
            State::PostStop => {
                let stanza = self.conf.post_stop.clone();
                self.run_hook("post-stop", stanza)
            }
        }
    }

    fn run_main(&mut self) {
        let stanza = self.conf.main.clone().expect("a job has a main process");
        match self.spawn("main", &stanza, false) {
            Some(main) => {
                self.main_pids.push(main.pid());
                self.main = Some(main);
            }
            None => self.change_goal(Goal::Stop),
        }
    }

    /// Runs a hook. Returns true if there is one to wait for.
    fn run_hook(&mut self, name: &'static str, stanza: Option<Stanza>) -> bool {
        let Some(stanza) = stanza else { return false };
        self.hook = self
            .spawn(name, &stanza, name.ends_with("-stop"))
            .map(|hook| (name, hook));
        if self.hook.is_none() && matches!(name, "pre-start" | "post-stop") {
            self.change_goal(Goal::Stop);
        }
        self.hook.is_some()
    }

    fn spawn(&mut self, name: &'static str, stanza: &Stanza, stopping: bool) -> Option<Process> {
        let mut env = vec![
            ("PATH".to_owned(), PATH.to_owned()),
            ("TERM".to_owned(), "linux".to_owned()),
        ];
        env.extend(self.conf.env.iter().chain(&self.start_env).cloned());
        env.extend([
            ("UPSTART_JOB".into(), self.name.clone()),
            ("UPSTART_INSTANCE".into(), self.instance.clone()),
        ]);
        if stopping {
            env.extend(self.stop_env.iter().cloned());
        }
        let spawned = Process::spawn(&stanza.argv(), &env, self.conf.uid, self.conf.console_log);
        if spawned.is_ok() {
            self.history.push(name);
        } else {
            let job = self.log_name();
            let why = "unable to execute: No such file or directory";
            self.harness
                .kernel_log(format!("init: Failed to spawn {job} {name} process: {why}"));
        }
        spawned.ok()
    }

    fn signal_group(&mut self, name: &'static str, signal: Signal) {
        if let Some(main) = &self.main {
            self.history.push(name);
            main.kill_group(signal);
        }
    }

    fn main_ended(&mut self, status: ExitStatus) {
        self.kill_at = None;
        let waits_for_hook = self.hook.is_some();
        if self.state == State::Killed {
            return self.go_on();
        }
        let raw = status.code().unwrap_or_default() | status.signal().unwrap_or_default() << 8;
        let failed = self.goal == Goal::Start && !self.conf.normal_exit.contains(&raw);
        if failed && self.conf.respawn && !self.is_respawning_too_fast() {
            self.harness.kernel_log(format!(
                "init: {} main process ended, respawning",
                self.log_name()
            ));
            if waits_for_hook {
                self.change_goal(Goal::Respawn);
            }
        } else {
            self.change_goal(Goal::Stop);
        }
        if !waits_for_hook {
            self.go_on();
        }
    }

    fn is_respawning_too_fast(&mut self) -> bool {
        let (limit, within) = self.conf.respawn_limit;
        let (count, since) = &mut self.respawns;
        match since {
            Some(since) if since.elapsed() < within => *count += 1,
            _ => (*count, *since) = (1, Some(Instant::now())),
        }
        let too_fast = *count > limit;
        if too_fast {
            self.harness.kernel_log(format!(
                "init: {} respawning too fast, stopped",
                self.log_name()
            ));
        }
        too_fast
    }

    /// Handles the end of a hook. Only pre-start and post-stop can fail; the exit codes of pre-stop
    /// and post-start are ignored.
    fn hook_ended(&mut self, name: &str, status: ExitStatus) {
        let stanza = match name {
            "pre-start" => &self.conf.pre_start,
            "pre-stop" => &self.conf.pre_stop,
            "post-stop" => &self.conf.post_stop,
            _ => &None,
        };
        let is_ours = stanza
            .as_ref()
            .is_some_and(|it| matches!(it, Stanza::Exec(line) if self.harness.is_hook(line)));
        assert!(
            status.success() || !is_ours,
            "a hook did not exit 0: {name}: {status}: {self:?}"
        );
        if name == "post-stop" {
            self.harness.wait_for_workers();
        }
        if !status.success() && matches!(name, "pre-start" | "post-stop") {
            self.change_goal(Goal::Stop);
        }
        self.go_on();
    }

    /// Logs how a process ended. Code 0, and a number that `normal exit` names, are only logged by
    /// a verbose init.
    fn log_end(&self, process: &str, pid: u32, status: ExitStatus) {
        let number = status.code().or(status.signal()).unwrap_or_default();
        let is_normal = status.success() || self.conf.normal_exit.contains(&number);
        if is_normal && !self.is_verbose {
            return;
        }
        let end = match (status.code(), status.signal().and_then(signal_name)) {
            (Some(0), _) => "exited normally".to_owned(),
            (Some(code), _) => format!("terminated with status {code}"),
            (None, Some(name)) => format!("killed by {name} signal"),
            (None, None) => format!("killed by signal {number}"),
        };
        self.harness.kernel_log(format!(
            "init: {} {process} process ({pid}) {end}",
            self.log_name()
        ));
    }
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self {
            goal, state, log, ..
        } = self;
        let history = self.history();
        let init = std::fs::read_to_string(self.harness.root.join("dev/kmsg")).unwrap_or_default();
        write!(
            f,
            "{} wants {goal:?}, is {state:?} after: {history}\n{init}\n{log}",
            self.log_name()
        )
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.hook.is_some() {
            wait_for("the last hook's end", || {
                self.hook
                    .as_mut()
                    .is_none_or(|(_, hook)| hook.poll().is_some())
            });
        }
    }
}

fn owned(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        6 => "ABRT",
        9 => "KILL",
        10 => "USR1",
        11 => "SEGV",
        13 => "PIPE",
        15 => "TERM",
        _ => return None,
    })
}
