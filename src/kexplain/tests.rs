//! Small trees, one reason each, and broken ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const MODULES: &str = "config MODULES\n\tbool \"Modules\"\n\tmodules\n";

/// A tree of a `Kconfig`, which includes one of the architecture `test`, and of other files.
fn read(top: &str, others: &[(&str, &str)]) -> Result<Tree, TreeError> {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "Kconfig", top);
    put(dir.path(), "arch/test/Kconfig", MODULES);
    others.iter().for_each(|(name, text)| put(dir.path(), name, text));
    Tree::read(dir.path(), "test")
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn tree(top: &str) -> Tree {
    let tree = read(&format!("source \"arch/$(SRCARCH)/Kconfig\"\n{top}"), &[]).unwrap();
    assert_eq!(tree.skipped(), []);
    tree
}

/// The reasons for `X`, as text, where other values are given as `NAME=value` words.
fn why(top: &str, asked: &str, got: &str, values: &str) -> Vec<String> {
    let values: BTreeMap<&str, &str> = values.split(' ').filter_map(|one| one.split_once('=')).collect();
    let value = |name: &str| values.get(name).map(|value| (*value).to_owned());
    tree(top).explain("X", asked, Some(got), &value).iter().map(Reason::to_string).collect()
}

#[test]
fn what_was_had_as_asked_needs_no_reason() {
    assert!(why("config X\n\tbool \"x\"\n", "y", "y", "").is_empty());
    assert!(why("config X\n\thex \"x\"\n", "10", "0x10", "").is_empty());
    assert!(tree("config X\n\tbool \"x\"\n").explain("X", "n", None, &|_| None).is_empty());
}

#[test]
fn an_unknown_symbol_is_told_with_the_nearest_names() {
    let tree = tree("config EXT4_FS\n\tbool\nconfig MEMCG\n\tbool\n");
    for (unknown, near) in
        [("EXT5_FS", vec!["EXT4_FS"]), ("MEMCG_SWAP_ON", vec!["MEMCG"]), ("NO_SUCH_ONE", vec![])]
    {
        let near = near.into_iter().map(str::to_owned).collect();
        assert_eq!(tree.explain(unknown, "y", None, &|_| None), [Reason::Unknown { near }]);
    }
}

#[test]
fn an_unmet_dependency_names_only_what_is_missing_and_why() {
    let top = "menu \"Net\"\n\tdepends on NET && MODULES\nif SYSFS\nconfig X\n\ttristate \"x\"\n\
               \tdepends on A || (B && !C)\n\tdepends on D = 4\nendif\nendmenu\n\
               config NET\n\tbool \"net\"\nconfig SYSFS\n\tbool\n\tdefault y if NET\n\
               config A\n\tbool \"a\"\n\tdepends on NET\nconfig B\n\tbool \"b\"\nconfig C\n\tbool \"c\"\n\
               config D\n\tint \"d\"\n";
    assert_eq!(
        why(top, "m", "n", "MODULES=y B=y C=y D=5"),
        [
            "needs A (=n) || !C (=y) (Kconfig:7); A needs NET (=n) (Kconfig:18); C is free to be set (Kconfig:21)",
            "needs NET (=n) (Kconfig:3); NET is free to be set (Kconfig:11)",
            "needs D (=5) = 4 (Kconfig:8)",
            "needs SYSFS (=n) (Kconfig:4); SYSFS has no prompt, its default decides",
        ]
    );
}

#[test]
fn conditions_of_the_prompt_alone_count_too() {
    let top = "menu \"M\"\n\tvisible if EXPERT\nconfig X\n\tbool \"x\" if GONE\n\tdefault y\nendmenu\n\
               config EXPERT\n\tbool\nconfig E\n\tbool \"e\"\n\tselect EXPERT\n";
    assert_eq!(
        why(top, "n", "y", ""),
        [
            "needs GONE (unknown) (Kconfig:5); GONE is defined nowhere here",
            "needs EXPERT (=n) (Kconfig:3); EXPERT has no prompt, it is selected by E",
            "gets its default, y (Kconfig:6)",
        ]
    );
}

#[test]
fn a_modular_dependency_caps_a_tristate_but_no_bool() {
    let top = |kind| format!("config X\n\t{kind} \"x\"\n\tdepends on DRM\nconfig DRM\n\ttristate \"d\"\n");
    assert_eq!(
        why(&top("tristate"), "y", "m", "DRM=m MODULES=y"),
        ["is m at most, with DRM (=m) (Kconfig:4); DRM is free to be set (Kconfig:5)"]
    );
    assert!(why(&top("bool"), "y", "n", "DRM=m MODULES=y").is_empty());
}

#[test]
fn a_select_is_named_with_the_value_that_it_brings() {
    let top = "config X\n\ttristate \"x\"\nconfig A\n\ttristate \"a\"\n\tselect X if B\nconfig B\n\tbool \"b\"\n\
               config C\n\tbool \"c\"\n\tselect X\n";
    assert_eq!(why(top, "m", "y", "A=y B=y MODULES=y"), ["is selected by A (=y, Kconfig:6)"]);
    assert_eq!(why(top, "n", "m", "A=m B=y C=n MODULES=y"), ["is selected by A (=m, Kconfig:6)"]);
    assert!(why(top, "m", "y", "A=m B=y MODULES=y").is_empty());
}

#[test]
fn a_symbol_without_a_prompt_says_who_sets_it() {
    let top = "config X\n\tbool\nconfig A\n\tbool \"a\"\n\tselect X\n";
    let no_prompt = "has no prompt, so what is asked for is not looked at (Kconfig:2); it is selected by A";
    assert_eq!(why(top, "n", "y", "A=y"), [no_prompt, "is selected by A (=y, Kconfig:6)"]);
    assert_eq!(why(top, "y", "n", ""), [no_prompt]);
    let top = "config X\n\tdef_bool y\nconfig A\n\tbool \"a\"\n\timply X\n";
    assert_eq!(
        why(top, "n", "y", "A=y"),
        [
            "has no prompt, so what is asked for is not looked at (Kconfig:2); its default decides",
            "is implied by A (=y, Kconfig:6)",
            "gets its default, y (Kconfig:3)",
        ]
    );
}

#[test]
fn a_choice_has_one_member() {
    let top = "choice\n\tprompt \"Pages\"\n\tdefault X\nconfig X\n\tbool \"x\"\nconfig Z\n\tbool \"z\"\nendchoice\n";
    assert_eq!(
        why(top, "y", "n", "Z=y"),
        ["is one of a choice, \"Pages\" (Kconfig:2), of which Z was taken"]
    );
    assert_eq!(
        why(top, "n", "y", "X=y"),
        ["is one of a choice, \"Pages\" (Kconfig:2), of which one must be on: ask for another (Z)"]
    );
}

#[test]
fn numbers_are_kept_in_the_range_that_counts() {
    let top = "config X\n\tint \"x\"\n\trange 1 5 if SMALL\n\trange 12 MOST\n\
               config SMALL\n\tbool\nconfig MOST\n\tint\n\tdefault 25\n";
    assert_eq!(why(top, "99", "25", "MOST=25"), ["is kept in the range 12 to 25 (Kconfig:5)"]);
    assert_eq!(why(top, "99", "5", "MOST=25 SMALL=y"), ["is kept in the range 1 to 5 (Kconfig:4)"]);
    assert!(why(top, "13", "25", "MOST=25").is_empty());
}

#[test]
fn a_value_of_another_type_is_told() {
    assert_eq!(why("config X\n\tbool \"x\"\n", "m", "n", ""), ["is y or n, never m (Kconfig:2)"]);
    for (kind, asked) in [("bool", "5"), ("tristate", "yes"), ("int", "0x5"), ("int", ""), ("hex", "0xg")] {
        let reasons = why(&format!("config X\n\t{kind} \"x\"\n"), asked, "", "");
        assert_eq!(reasons, [format!("is of type {kind} (Kconfig:2)")], "{asked}");
    }
}

#[test]
fn a_text_that_was_lost_had_no_quotes() {
    let lost = "is a text, which is lost when it is not in double quotes";
    assert_eq!(why("config X\n\tstring \"x\"\n", "-v8", "", ""), [lost]);
    assert!(why("config X\n\tstring \"x\"\n", "-v8", "-v9", "").is_empty());
}

#[test]
fn without_modules_nothing_is_one() {
    let reasons = why("config X\n\ttristate \"x\"\n", "m", "y", "MODULES=n");
    assert_eq!(reasons, ["cannot be m, for there are no modules (MODULES=n)"]);
}

#[test]
fn what_only_the_compiler_knows_is_not_guessed() {
    let top = "config X\n\tbool \"x\"\n\tdepends on A && $(cc-option,-mx)\nconfig A\n\tbool \"a\"\n";
    assert_eq!(
        why(top, "y", "n", "A=y"),
        ["needs A (=y) && $(cc-option,-mx) (Kconfig:4), which only the compiler or the shell can tell"]
    );
    assert_eq!(why(top, "y", "n", ""), ["needs A (=n) (Kconfig:4); A is free to be set (Kconfig:5)"]);
}

#[test]
fn symbols_that_need_each_other_do_not_go_in_circles() {
    let top = "config X\n\tbool \"x\"\n\tdepends on A\nconfig A\n\tbool \"a\"\n\tdepends on X\n";
    assert_eq!(why(top, "y", "n", ""), ["needs A (=n) (Kconfig:4); A needs X (=n) (Kconfig:7)"]);
}

#[test]
fn files_are_included_by_name_by_pattern_beside_and_perhaps() {
    let symbol = |name: &str| format!("config {name}\n\tbool\n");
    let top = "source \"arch/$(SRCARCH)/Kconfig\"\nsource \"$(srctree)/drivers/Kconfig\"\nosource \"gone/Kconfig\"\n";
    let (inner, a, b) = ("rsource \"*/Kconfig.?\"\norsource \"gone\"\n", symbol("A"), symbol("B"));
    let files = [("drivers/Kconfig", inner), ("drivers/a/Kconfig.a", &a), ("drivers/b/Kconfig.b", &b)];
    let tree = read(top, &files).unwrap();
    assert_eq!(tree.names().collect::<Vec<_>>(), ["A", "B", "MODULES"]);
    assert_eq!(tree.about("B").unwrap().defined[0].to_string(), "drivers/b/Kconfig.b:1");
    assert_eq!(tree.files(), 5);
}

#[test]
fn a_broken_tree_is_refused_with_the_line() {
    let endless = "source \"a\"\nsource \"a\"\n";
    for (top, error) in [
        ("source \"gone\"\n", "`Kconfig:1` includes `gone`, which is not there"),
        ("\nsource \"../x\"\n", "`Kconfig:2` includes `../x`, which is outside the kernel's source"),
        (
            "source \"/etc/passwd\"\n",
            "`Kconfig:1` includes `/etc/passwd`, which is outside the kernel's source",
        ),
        ("source \"a\"\n", "`a:1` includes files too deep: do they include each other?"),
        ("menu \"x\"\nif A\nendif\n", "`Kconfig:1`: the block of `menu` does not end in this file"),
        ("if A\nendmenu\n", "`Kconfig:2`: `endmenu` ends nothing that is open here"),
        ("if A\nsource \"b\"\nendif\n", "`b:1`: `endif` ends nothing that is open here"),
    ] {
        let found = read(top, &[("a", endless), ("b", "endif\n")]).unwrap_err().to_string();
        assert_eq!(found.lines().next(), Some(error));
    }
    let nowhere = Tree::read(Path::new("/nonexistent"), "arm64").unwrap_err();
    assert!(matches!(nowhere, TreeError::NoKernel { .. }));
    assert!(matches!(read("", &[]).map(|tree| tree.files()), Ok(1)));
}

#[test]
fn a_link_out_of_the_tree_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "outside", "config A\n");
    put(dir.path(), "linux/arch/test/Kconfig", "");
    put(dir.path(), "linux/Kconfig", "source \"link\"\n");
    std::os::unix::fs::symlink("../outside", dir.path().join("linux/link")).unwrap();
    let error = Tree::read(&dir.path().join("linux"), "test").unwrap_err();
    assert!(matches!(error, TreeError::Outside { .. }), "{error}");
}

#[test]
fn a_file_without_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "arch/test/Kconfig", "");
    let file = fs::File::create(dir.path().join("Kconfig")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(Tree::read(dir.path(), "test").unwrap_err(), TreeError::TooMuch { .. }));
}

#[test]
fn lines_of_a_later_kernel_are_passed_over_and_told() {
    let tree = read("config X\n\tbool \"x\"\n\tsparkle always\n\tdepends on A B\n\tdepends on A if B\n", &[])
        .unwrap();
    let lines: Vec<u32> = tree.skipped().iter().map(|place| place.line).collect();
    assert_eq!(lines, [3, 4]);
    assert_eq!(tree.about("X").unwrap().depends[0].what, "!B || A");
}

#[test]
fn all_that_is_said_of_a_symbol_is_told() {
    let top = "if A\nconfig X\n\tint \"An x\" if B\n\tdepends on C && \\\n\t\tD\n\tdefault 3 if E\n\trange 1 4\n\
               \tselect F\n\thelp\n\t  Some\n\n\t    help.\n\nendif\nconfig S\n\tbool\n\tselect X if Q\n\
               comment \"c\"\n\tdepends on A\n";
    let expected = "X: int, \"An x\"\n  defined at Kconfig:3\n  depends on C && D (Kconfig:5)\n  depends on A (Kconfig:2)\n  \
                    default 3 if E (Kconfig:7)\n  range 1 to 4 (Kconfig:8)\n  selects F (Kconfig:9)\n  \
                    selected by S if Q (Kconfig:18)\n    Some\n\n      help.\n";
    assert_eq!(tree(top).about("X").unwrap().to_string(), expected);
}

/// Lines that, in any order and with any damage, make good and bad trees.
const SNIPPETS: &[&str] = &[
    "config A",
    "config B",
    "menuconfig C",
    "choice",
    "endchoice",
    "menu \"m\"",
    "endmenu",
    "if A && !B",
    "endif",
    "\tbool \"p\" if A",
    "\ttristate",
    "\tint",
    "\thex \"h\"",
    "\tstring \"s\"",
    "\tdef_bool $(cc-option,-x)",
    "\tdepends on A || B",
    "\tdepends on (C != \"x\") && B < 5",
    "\tvisible if A",
    "\tselect B if A",
    "\timply A",
    "\trange 1 C if B",
    "\tdefault 7 if C",
    "\toptional",
    "\tmodules",
    "\thelp",
    "\t  words of help",
    "x = $(x)$(x)",
    "x := y",
    "source \"arch/$(SRCARCH)/Kconfig\"",
    "source \"$(x)\"",
    "rsource \"arch/*/K*\"",
    "comment \"c\" \\",
    "\tdepends on !!!(((A",
    "",
    "# no",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(
        lines in prop::collection::vec(prop::sample::select(SNIPPETS), 0..40),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 0..4),
        asked in prop::sample::select(&["y", "m", "n", "7", "0x7", ""][..]),
        got in prop::sample::select(&["y", "m", "n", "9", ""][..]),
    ) {
        let mut text: Vec<char> = lines.join("\n").chars().collect();
        for (at, c) in damage {
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = c;
            }
        }
        if let Ok(tree) = read(&text.into_iter().collect::<String>(), &[]) {
            for name in ["A", "B", "C", "MODULES"] {
                let reasons = tree.explain(name, asked, Some(got), &|_| Some(got.to_owned()));
                reasons.iter().for_each(|reason| assert!(!reason.to_string().is_empty()));
                let _ = tree.about(name).map(|about| about.to_string());
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&String::from_utf8_lossy(&bytes), &[]);
    }
}
