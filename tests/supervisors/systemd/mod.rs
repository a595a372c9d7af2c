//! systemd as process 1 of a container of its own, with the files of `config/systemd`.

mod as_root;
mod cases;
mod machine;
mod now;
mod setup;
mod told;
