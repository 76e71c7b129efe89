# A stage for tracks/generic/grub.cfg: bash runs GRUB's script, since its words are those of a shell, and
# what GRUB would do is done here. Environment blocks are read and written by GRUB's own code.
# $1 script, $2 directory of the blocks, $3 slots that can be loaded, $4 whether blocks can be saved.
prefix=$2 loads=$3 saves=$4 root=hd0,gpt1

set() { declare -g "${1%%=*}=${1#*=}"; }
echo() { :; }
probe() { :; }
regexp() { [[ ${1#--set=1:disk} != "$1" ]] && shift; [[ $2 =~ $1 ]]; }
sleep() { waited=$1; }
boot() { printf 'boot %s %s\n' "$slot_name" "$state"; exit; }
reboot() { printf 'reset %s\n' "$waited"; exit; }
initrd() { :; }
linux() {
	[[ $loads == *"$slot_name"* ]] && return
	printf 'fails %s\n' "$slot_name"
	return 1
}
load_env() {
	[[ $2 == *slot.env ]] && return
	local line found
	found=$(grub-editenv "$2" list 2>/dev/null) || return
	while IFS= read -r line; do
		[[ " ${*:3} " == *" ${line%%=*} "* ]] && set "$line"
	done <<<"$found"
	return 0
}
save_env() {
	[[ $saves == yes ]] || return
	local name file=$2 assignments=()
	for name in "${@:3}"; do assignments+=("$name=${!name}"); done
	grub-editenv "$file" list >/dev/null 2>&1 && grub-editenv "$file" set "${assignments[@]}" || return
	printf 'save %s %s %s %s %s\n' "${file##*/}" "$boot_default" "$boot_counter" "$boot_good" "$boot_failed"
}
. "$1"
