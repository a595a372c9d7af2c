//! Python programs that really die.

use super::live::{Answer, Live};

fn python(text: &str) -> Answer {
    Live::program("app.py", text).dies(&["python3", "app.py"])
}

#[test]
fn an_uncaught_exception_is_named_with_its_place() {
    python("def mean(xs): return sum(xs) / len(xs)\ndef main(): mean([])\nmain()\n").is(
        "uncaught-exception",
        &["ZeroDivisionError: division by zero", "app.py:1"],
    );
    python("import json\ndef load():\n    json.loads('{')\nload()\n")
        .is("uncaught-exception", &["JSONDecodeError", "app.py:3"]);
    python("raise ValueError('one\\ntwo')\n")
        .is("uncaught-exception", &["ValueError: one", "app.py:1"]);
}

#[test]
fn the_last_exception_of_a_chain_and_its_cause_are_named() {
    python("def f():\n    try: {}['dsn']\n    except KeyError as e: raise RuntimeError('no config') from e\nf()\n")
        .is("uncaught-exception", &["RuntimeError: no config", "KeyError: 'dsn'", "app.py:3"]);
}

#[test]
fn an_exception_s_own_kind_is_named() {
    python("import nosuch_module\n").is("missing-module", &["nosuch_module", "app.py:1"]);
    python("def f(:\n  pass\n").is("syntax-error", &["SyntaxError", "app.py:1"]);
    python("assert 1 == 2, 'ledger is off'\n").is("assertion", &["AssertionError: ledger is off"]);
    python("def f(): f()\nf()\n").is("stack-overflow", &["RecursionError", "app.py:1"]);
    python(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (300<<20,)*2)\n'x' * (1<<31)\n",
    )
    .is("out-of-memory-heap", &["MemoryError", "app.py:3"]);
    let port = "import socket\na = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen()\n\
                socket.socket().bind(a.getsockname())\n";
    python(port).is("port-in-use", &["[Errno 98]", "app.py:3"]);
}

#[test]
fn the_interpreter_s_refusals_and_arguments_are_named() {
    let nothing = Live::program("app.py", "");
    nothing
        .dies(&["python3", "none.py"])
        .is("no-such-file", &["none.py"]);
    nothing
        .dies(&["python3", "-m", "nosuch_module"])
        .is("missing-module", &["nosuch_module"]);
    python("import argparse\np = argparse.ArgumentParser()\np.add_argument('--port', type=int)\np.parse_args(['--port', 'x'])\n")
        .is("bad-arguments", &["--port: invalid int value: 'x'"]);
}

#[test]
fn a_fatal_error_comes_with_the_current_thread_s_place() {
    python("import faulthandler, os\nfaulthandler.enable()\ndef check(): os.abort()\ncheck()\n")
        .is("abort", &["Fatal Python error: Aborted", "app.py:3"]);
}

#[test]
fn an_error_that_the_program_survived_is_not_the_cause() {
    let went_on = "print('polled 3 messages', file=sys.stderr)\n";
    python(&format!(
        "import os, sys, traceback\ndef f():\n    try: int('x')\n    except ValueError: traceback.print_exc()\nf()\n{}os._exit(1)\n",
        went_on.repeat(8)
    ))
    .is_unknown();
    python(&format!(
        "import logging, os, sys\nlogging.basicConfig(format='%(asctime)s %(levelname)s %(message)s')\n\
         def f():\n    try: int('x')\n    except ValueError: logging.exception('bad row, skipped')\nf()\n{}os._exit(1)\n",
        went_on.repeat(8)
    ))
    .is_unknown();
    python(&format!(
        "import os, sys, threading\nt = threading.Thread(target=lambda: int('x')); t.start(); t.join()\n{}os._exit(4)\n",
        went_on.repeat(8)
    ))
    .is_unknown();
    python("import sys\nclass A:\n    def __del__(self): int('x')\nA()\nsys.exit(4)\n")
        .is_unknown();
}

#[test]
fn the_next_start_s_banner_changes_nothing() {
    Live::program("app.py", "{}['token']\n")
        .dies_with(
            &["python3", "app.py"],
            "== app start 2026-11-22 23:51:00 ==\nlistening on 8000\n",
        )
        .is("uncaught-exception", &["KeyError: 'token'", "app.py:1"]);
}
