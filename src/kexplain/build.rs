//! From the lines of the files to a tree.
//!
//! A line that is not understood is passed over and remembered, for a later kernel may know more
//! properties; blocks that do not end are errors, for then nothing below them is what it seems.

use super::expr::{Atom, Expr};
use super::lines::Lines;
use super::macros::{self, Macros};
use super::read::TreeError;
use super::token::{Tokens, tokens};
use super::tree::{
    Choice, Condition, Definition, Given, How, Kind, Prompt, Range, Scope, Spot, Target, Tree,
};

/// Deepest chain of files that include each other.
const DEEPEST: usize = 64;

/// Where files come from.
pub(super) trait Files {
    /// The files that a line includes, as names from the root and texts.
    fn find(&mut self, wanted: &Wanted, at: &dyn Fn() -> String) -> Result<Vec<(String, String)>, TreeError>;
}

/// What a line includes.
pub(super) struct Wanted {
    /// A name from the root, perhaps with `*` and `?`.
    pub(super) pattern: String,
    /// Whether it may be that there is none.
    pub(super) optional: bool,
}

/// A tree that is being read.
pub(super) struct Builder<'a> {
    files: &'a mut dyn Files,
    tree: Tree,
    macros: Macros,
    blocks: Vec<Block>,
    entry: Entry,
}

/// A block that has not ended.
struct Block {
    keyword: &'static str,
    scope: usize,
    at: Spot,
}

/// What the properties that follow belong to.
enum Entry {
    Nothing,
    Symbol(String),
    Choice { scope: usize, choice: usize },
    Menu(usize),
}

/// What a line asks for besides what it says.
enum Step {
    Next,
    Help,
    Include(Wanted),
}

/// Words that start blocks, and those that end them.
const BLOCKS: &[(&str, &str)] = &[("menu", "endmenu"), ("if", "endif"), ("choice", "endchoice")];

impl<'a> Builder<'a> {
    pub(super) fn new(files: &'a mut dyn Files, arch: &str) -> Self {
        let mut macros = Macros::default();
        for (name, value) in [("srctree", "."), ("SRCARCH", arch), ("ARCH", arch)] {
            macros.set(name, value);
        }
        let tree = Tree { scopes: vec![Scope::default()], ..Tree::default() };
        Self { files, tree, macros, blocks: Vec::new(), entry: Entry::Nothing }
    }

    /// Reads all files, from the one at the root on.
    pub(super) fn build(mut self, root: &str) -> Result<Tree, TreeError> {
        let wanted = Wanted { pattern: root.to_owned(), optional: false };
        self.include(&wanted, None, 0)?;
        self.tree.index();
        Ok(self.tree)
    }

    fn include(&mut self, wanted: &Wanted, at: Option<Spot>, depth: usize) -> Result<(), TreeError> {
        let tree = &self.tree;
        let place = || at.map_or_else(|| wanted.pattern.clone(), |at| tree.place(at).to_string());
        if depth == DEEPEST {
            return Err(TreeError::TooDeep { at: place() });
        }
        for (name, text) in self.files.find(wanted, &place)? {
            self.tree.files.push(name);
            self.file(&text, depth)?;
        }
        Ok(())
    }

    fn file(&mut self, text: &str, depth: usize) -> Result<(), TreeError> {
        let file = self.tree.files.len() - 1;
        let outer = self.blocks.len();
        let mut lines = Lines::new(text);
        self.entry = Entry::Nothing;
        while let Some((line, text)) = lines.logical() {
            let at = Spot { file, line };
            match self.statement(&text, at, outer)? {
                Step::Next => {}
                Step::Help => self.help(lines.help()),
                Step::Include(wanted) => {
                    self.include(&wanted, Some(at), depth + 1)?;
                    self.entry = Entry::Nothing;
                }
            }
        }
        match self.blocks.get(outer) {
            Some(open) => {
                Err(TreeError::Unclosed { at: self.tree.place(open.at).to_string(), keyword: open.keyword })
            }
            None => Ok(()),
        }
    }

    fn statement(&mut self, line: &str, at: Spot, outer: usize) -> Result<Step, TreeError> {
        if let Some((name, append, value)) = macros::assignment(line) {
            self.macros.assign(name, append, value);
            return Ok(Step::Next);
        }
        // A call on a line of its own checks something; it defines nothing.
        let words =
            if line.trim_start().starts_with("$(") { Some(Vec::new()) } else { tokens(line, &self.macros) };
        let Some(mut words) = words.map(Tokens::new) else { return Ok(self.skip(at)) };
        if words.is_empty() {
            return Ok(Step::Next);
        }
        let Some(keyword) = words.word() else { return Ok(self.skip(at)) };
        match keyword.as_str() {
            "help" | "---help---" => return Ok(Step::Help),
            "endmenu" | "endif" | "endchoice" => return self.close(&keyword, at, outer),
            "source" | "osource" | "rsource" | "orsource" => {
                let wanted = words.text().and_then(|path| self.wanted(&keyword, &path, at));
                return Ok(wanted.map_or_else(|| self.skip(at), Step::Include));
            }
            _ => {}
        }
        match self.define(&keyword, &mut words, at) {
            Some(()) => Ok(Step::Next),
            None => Ok(self.skip(at)),
        }
    }

    fn skip(&mut self, at: Spot) -> Step {
        self.tree.skipped.push(at);
        Step::Next
    }

    fn help(&mut self, text: String) {
        if let Some(definition) = self.definition() {
            definition.help = text;
        }
    }

    /// The files that a line includes: by a name from the root, or beside the file itself.
    fn wanted(&self, keyword: &str, path: &str, at: Spot) -> Option<Wanted> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let beside =
            keyword.contains("rsource").then(|| self.tree.files.get(at.file)?.rsplit_once('/')).flatten();
        let pattern = beside.map_or_else(|| path.to_owned(), |(dir, _)| format!("{dir}/{path}"));
        (!pattern.contains("$(")).then(|| Wanted { pattern, optional: keyword.starts_with('o') })
    }

    fn define(&mut self, keyword: &str, words: &mut Tokens, at: Spot) -> Option<()> {
        match keyword {
            "config" | "menuconfig" => self.symbol(words.word()?, at),
            "mainmenu" => self.entry = Entry::Nothing,
            // What a comment depends on is read as that of a menu that nothing is in.
            "comment" => {
                self.entry = Entry::Menu(self.tree.scopes.len());
                self.tree.scopes.push(Scope::default());
            }
            "menu" | "if" | "choice" => self.open(keyword, words, at)?,
            _ => return self.property(keyword, words, at),
        }
        Some(())
    }

    fn symbol(&mut self, name: String, at: Spot) {
        let scope = self.blocks.last().map_or(0, |block| block.scope);
        let definition = Definition {
            at,
            scope,
            prompt: None,
            depends: Vec::new(),
            defaults: Vec::new(),
            selects: Vec::new(),
            implies: Vec::new(),
            ranges: Vec::new(),
            help: String::new(),
        };
        if let Some(choice) = self.tree.scopes[scope].choice {
            self.tree.choices[choice].members.push(name.clone());
        }
        self.tree.symbols.entry(name.clone()).or_default().definitions.push(definition);
        self.entry = Entry::Symbol(name);
    }

    fn open(&mut self, keyword: &str, words: &mut Tokens, at: Spot) -> Option<()> {
        let (keyword, _) = *BLOCKS.iter().find(|(start, _)| *start == keyword)?;
        let parent = self.blocks.last().map_or(0, |block| block.scope);
        let mut inside = Scope { parent: Some(parent), ..Scope::default() };
        let scope = self.tree.scopes.len();
        self.entry = Entry::Menu(scope);
        match keyword {
            // One that is not understood still ends somewhere.
            "if" => {
                inside.choice = self.tree.scopes[parent].choice;
                self.entry = Entry::Nothing;
                match Expr::parse(words) {
                    Some(expr) => inside.conditions.push(Condition { expr, at, how: How::If }),
                    None => self.tree.skipped.push(at),
                }
            }
            "choice" => {
                let choice = self.tree.choices.len();
                inside.choice = Some(choice);
                self.entry = Entry::Choice { scope, choice };
                let members = Vec::new();
                self.tree.choices.push(Choice { at, prompt: String::new(), optional: false, members });
            }
            _ => {}
        }
        self.tree.scopes.push(inside);
        self.blocks.push(Block { keyword, scope, at });
        Some(())
    }

    fn close(&mut self, keyword: &str, at: Spot, outer: usize) -> Result<Step, TreeError> {
        let open = self.blocks.pop_if(|block| BLOCKS.contains(&(block.keyword, keyword)));
        self.entry = Entry::Nothing;
        if open.is_none() || self.blocks.len() < outer {
            let (at, keyword) = (self.tree.place(at).to_string(), keyword.to_owned());
            return Err(TreeError::Stray { at, keyword });
        }
        Ok(Step::Next)
    }

    /// A line that says something of what was last named; `None` when it is not understood.
    fn property(&mut self, keyword: &str, words: &mut Tokens, at: Spot) -> Option<()> {
        match keyword {
            "depends" => {
                words.take_word("on").then_some(())?;
                let expr = depended(words)?;
                self.conditions()?.push(Condition { expr, at, how: How::Depends });
            }
            "visible" => {
                words.take_word("if").then_some(())?;
                let expr = Expr::parse(words)?;
                self.conditions()?.push(Condition { expr, at, how: How::Visible });
            }
            "optional" => match self.entry {
                Entry::Choice { choice, .. } => self.tree.choices[choice].optional = true,
                _ => return None,
            },
            "prompt" => self.prompt(words, at)?,
            "modules" => self.modules()?,
            "option" if words.take_word("modules") => self.modules()?,
            "option" | "transitional" => {}
            _ => match kind(keyword) {
                Some((kind, false)) => {
                    self.typed(kind);
                    if !words.is_empty() {
                        self.prompt(words, at)?;
                    }
                }
                Some((kind, true)) => {
                    self.typed(kind);
                    self.value("default", words, at)?;
                }
                None => self.value(keyword, words, at)?,
            },
        }
        Some(())
    }

    /// A property with a value and perhaps a condition.
    fn value(&mut self, keyword: &str, words: &mut Tokens, at: Spot) -> Option<()> {
        if let (Entry::Choice { .. }, "default") = (&self.entry, keyword) {
            return Some(());
        }
        let definition = self.definition()?;
        match keyword {
            "default" => {
                let value = Expr::parse(words)?;
                definition.defaults.push(Given { value, condition: condition(words)?, at });
            }
            "select" | "imply" => {
                let name = words.word()?;
                let target = Target { name, condition: condition(words)?, at };
                let targets =
                    if keyword == "select" { &mut definition.selects } else { &mut definition.implies };
                targets.push(target);
            }
            "range" => {
                let (low, high) = (Atom::parse(words)?, Atom::parse(words)?);
                definition.ranges.push(Range { low, high, condition: condition(words)?, at });
            }
            _ => return None,
        }
        Some(())
    }

    fn prompt(&mut self, words: &mut Tokens, at: Spot) -> Option<()> {
        let text = words.text()?;
        let shown = condition(words)?.map(|expr| Condition { expr, at, how: How::Prompt });
        match self.entry {
            Entry::Choice { scope, choice } => {
                self.tree.choices[choice].prompt = text;
                self.tree.scopes[scope].conditions.extend(shown);
            }
            _ => self.definition()?.prompt = Some(Prompt { text, condition: shown }),
        }
        Some(())
    }

    fn typed(&mut self, kind: Kind) {
        if let Entry::Symbol(name) = &self.entry
            && let Some(symbol) = self.tree.symbols.get_mut(name)
        {
            symbol.kind.get_or_insert(kind);
        }
    }

    fn modules(&mut self) -> Option<()> {
        let Entry::Symbol(name) = &self.entry else { return None };
        self.tree.modules = Some(name.clone());
        Some(())
    }

    fn definition(&mut self) -> Option<&mut Definition> {
        let Entry::Symbol(name) = &self.entry else { return None };
        self.tree.symbols.get_mut(name)?.definitions.last_mut()
    }

    fn conditions(&mut self) -> Option<&mut Vec<Condition>> {
        match self.entry {
            Entry::Choice { scope, .. } | Entry::Menu(scope) => Some(&mut self.tree.scopes[scope].conditions),
            _ => Some(&mut self.definition()?.depends),
        }
    }
}

/// What a word says of the type, and whether a default follows it.
fn kind(keyword: &str) -> Option<(Kind, bool)> {
    Some(match keyword {
        "bool" | "boolean" => (Kind::Bool, false),
        "tristate" => (Kind::Tristate, false),
        "int" => (Kind::Int, false),
        "hex" => (Kind::Hex, false),
        "string" => (Kind::String, false),
        "def_bool" => (Kind::Bool, true),
        "def_tristate" => (Kind::Tristate, true),
        _ => return None,
    })
}

/// The condition at the end of a line, if there is one; `None` when something else is there.
fn condition(words: &mut Tokens) -> Option<Option<Expr>> {
    let found = if words.take_word("if") { Some(Expr::parse(words)?) } else { None };
    words.is_empty().then_some(found)
}

/// What a line depends on: `A if B`, which later kernels have, asks for A where B holds.
fn depended(words: &mut Tokens) -> Option<Expr> {
    let expr = Expr::parse(words)?;
    Some(match condition(words)? {
        Some(condition) => Expr::Or(vec![Expr::Not(Box::new(condition)), expr]),
        None => expr,
    })
}
