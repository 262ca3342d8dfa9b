//! `git relay completions`.

use std::process::ExitCode;

use clap_complete::Shell;

use super::output::print;

/// Git's own completion for bash asks a function of this name about `git relay …`; see `__git_complete_command` in
/// git's `git-completion.bash`. (The one for zsh finds `_git-relay` by itself.)
const BASH_THROUGH_GIT: &str = r#"
_git_relay() {
    local COMP_WORDS=(git-relay "${words[@]:__git_cmd_idx+1}")
    local COMP_CWORD=$((cword - __git_cmd_idx))
    _git__relay git-relay "$cur" "$prev"
}
"#;

pub(super) fn run(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "git-relay", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        // clap_complete 4.6.11 spells the hyphen of the program's name in two ways.
        script = script.replace("git__subcmd__relay__", "git__relay__");
        script.push_str(BASH_THROUGH_GIT);
    }
    print(&script);
    ExitCode::SUCCESS
}
