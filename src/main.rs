use std::process::ExitCode;

fn main() -> ExitCode {
    lastwords::main()
}
