# Bulwark. `make help` lists what there is.
#
# sudo drops the PATH of the user who has cargo, so rustup's directories are added: root's own
# and those of the user behind sudo.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

RUST_HOME := $(if $(SUDO_USER),$(shell getent passwd $(SUDO_USER) | cut -d: -f6),$(HOME))
ifneq ($(wildcard $(RUST_HOME)/.cargo/bin/cargo),)
export PATH := $(RUST_HOME)/.cargo/bin:$(PATH)
export RUSTUP_HOME ?= $(RUST_HOME)/.rustup
endif
export PATH := $(PATH):/usr/sbin:/sbin

# Under sudo, what is built still belongs to the user whose tree this is.
OWNER := $(shell stat -c %U .)
AS_OWNER := $(if $(and $(SUDO_USER),$(filter $(SUDO_USER),$(OWNER))),sudo -H -u $(SUDO_USER) env PATH="$(PATH)")
ifneq ($(AS_OWNER),)
export CARGO_HOME ?= $(RUST_HOME)/.cargo
endif
BUILD := $(strip $(AS_OWNER) cargo)

# Apart from the director: linked with what only that needs, it would have a library more to load.
BUILD_COMMAND_LINE := $(BUILD) build --release --package bulwark-ctl
TEST ?= cargo test
# Most tests wait for packets and timers: two at a time leave half of two cores idle.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

# The oldest rustc that builds this, as in Cargo.toml.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# Debian packages, and the file that shows that each is there.
BUILD_PACKAGES := clang:/usr/bin/clang libelf-dev:/usr/include/libelf.h zlib1g-dev:/usr/include/zlib.h \
	libbpf-dev:/usr/include/bpf/bpf_helpers.h linux-libc-dev:/usr/include/linux/bpf.h \
	pkg-config:/usr/bin/pkg-config m4:/usr/bin/m4 gcc:/usr/bin/cc ca-certificates:/etc/ssl/certs/ca-certificates.crt
DEMO_PACKAGES := iproute2:/sbin/ip ethtool:/sbin/ethtool procps:/sbin/sysctl iputils-ping:/bin/ping \
	nginx-light:/usr/sbin/nginx wrk:/usr/bin/wrk curl:/usr/bin/curl
TEST_PACKAGES := $(DEMO_PACKAGES) nftables:/sbin/nft vsftpd:/usr/sbin/vsftpd systemd:/usr/bin/systemd-analyze \
	libcap2-bin:/sbin/capsh fish:/usr/bin/fish hping3:/usr/sbin/hping3 prometheus:/usr/bin/promtool python3-venv:/usr/share/doc/python3-venv
# A compiler beside Debian 12's, where there is one: what the kernel takes of the one it may not take of the other.
OTHER_CLANG := clang-19
DEB_PACKAGES := dpkg-dev:/usr/bin/dpkg-shlibdeps
BENCH_PACKAGES := haproxy:/usr/sbin/haproxy iperf3:/usr/bin/iperf3
# What these bring and start at boot; only the programs are wanted.
SERVICES := nginx vsftpd prometheus haproxy

# What the tests hold the API against its own description with.
SCHEMATHESIS := target/schemathesis
SCHEMATHESIS_VERSION := 4.32.5

# What makes the Debian package.
CARGO_DEB := target/cargo-deb
CARGO_DEB_VERSION := 3.8.0

PREFIX ?= /usr/local
# What is installed and packaged: release or debug.
PROFILE ?= release
BUILT := target/$(PROFILE)
SHELLS := bash zsh fish
FUZZ_SECONDS ?= 60
# Tests that are run once more with everything on the slow path; `BULWARK_FAST_PATH=off make test` runs
# all of them there.
SLOW_PATH := forwarding splice

# Forwarding by one load after the other, of few peers and in short rounds: a minute each.
SWEEP := forwarding --carry tcp --flows 4096 --peers redirect,nft,nat,nat-slow --rounds 3 --milliseconds 300

.PHONY: help deps build-deps demo-deps test-deps bench-deps cargo-deb rust build release release-all test demo bench fuzz fmt lint msrv install uninstall deb generated stage clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

deps: build-deps test-deps ## Install what is missing to build and test (Debian, Ubuntu)

# While packages are installed, a policy keeps their services (nginx) from being started; nor are they at the next boot.
define install_missing
	@missing=""; \
	for package in $(1); do \
	  file=$${package#*:}; \
	  [ -e "$$file" ] || [ -e "/usr$$file" ] || missing="$$missing $${package%%:*}"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	command -v apt-get >/dev/null || { echo "missing:$$missing. Install what your distribution calls them." >&2; exit 1; }; \
	[ "$$(id -u)" = 0 ] || { echo "missing:$$missing. Run: sudo make $@" >&2; exit 1; }; \
	echo "installing with apt-get:$$missing"; \
	apt-get update -qq; \
	policy=/usr/sbin/policy-rc.d; \
	[ -e $$policy ] || { trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; }; \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	for service in $(SERVICES); do \
	  case "$$missing " in *" $$service"[\ -]*) update-rc.d $$service disable >/dev/null 2>&1 || :;; esac; \
	done
endef

build-deps: rust
	$(call install_missing,$(BUILD_PACKAGES))

demo-deps:
	$(call install_missing,$(DEMO_PACKAGES))

test-deps: cargo-deb
	$(call install_missing,$(TEST_PACKAGES))
	$(call install_missing,$(shell apt-cache pkgnames $(OTHER_CLANG) 2>/dev/null | sed -n 's,^$(OTHER_CLANG)$$,&:/usr/bin/&,p'))
	@[ -x $(SCHEMATHESIS)/bin/schemathesis ] || { echo "installing with pip: schemathesis"; \
	  $(AS_OWNER) /usr/bin/python3 -m venv $(SCHEMATHESIS) && \
	  $(AS_OWNER) $(SCHEMATHESIS)/bin/pip install -q --disable-pip-version-check schemathesis==$(SCHEMATHESIS_VERSION); }

# Not optimised: it is built longer than it runs.
cargo-deb: build-deps
	$(call install_missing,$(DEB_PACKAGES))
	@[ -x $(CARGO_DEB)/bin/cargo-deb ] || { echo "installing with cargo: cargo-deb"; \
	  $(BUILD) install --quiet --locked --debug --root $(CARGO_DEB) --version $(CARGO_DEB_VERSION) cargo-deb; }

# The distribution's own rustc is taken when it is new enough, or else the one that it keeps for browsers
# (Debian 12's rustc-web); otherwise the user has to decide.
rust:
	@enough() { command -v cargo >/dev/null && printf '%s\n%s\n' $(MSRV) "$$(rustc --version | cut -d' ' -f2)" | sort -CV; }; \
	enough && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq; \
	  for kind in "" -web; do \
	    offered=$$(apt-cache policy rustc$$kind | sed -n 's/ *Candidate: //p'); \
	    { [ "$${offered:-(none)}" != "(none)" ] && printf '%s\n%s\n' $(MSRV) "$${offered%%[+~-]*}" | sort -CV; } || continue; \
	    echo "installing with apt-get: rustc$$kind cargo$$kind rustfmt$$kind"; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y rustc$$kind cargo$$kind rustfmt$$kind >/dev/null; \
	    break; \
	  done; \
	fi; \
	enough || { echo "Bulwark needs Rust $(MSRV) or newer, and no package of that could be installed." >&2; \
	  echo "Install it from https://rustup.rs and try again." >&2; exit 1; }

build: build-deps ## Build everything, debug
	$(BUILD) build --workspace

release: build-deps ## Build bulwarkd and bulwark, completions and man pages into target/release
	$(BUILD) build --release --package bulwark-director
	$(BUILD_COMMAND_LINE)
	$(MAKE) --no-print-directory generated

release-all: build-deps ## Build demo and bench as well
	$(BUILD) build --release --workspace
	$(BUILD_COMMAND_LINE)

# What the command line says of itself.
generated:
	rm -rf $(BUILT)/man
	mkdir -p $(BUILT)/man $(BUILT)/completions
	$(BUILT)/bulwark man $(BUILT)/man
	for shell in $(SHELLS); do \
	  $(BUILT)/bulwark completions $$shell >$(BUILT)/completions/bulwark.$$shell; done

test: deps ## Run every test (as root: the end-to-end tests make network namespaces)
	$(BUILD) build --workspace
	$(BUILD) test --workspace --no-run
	$(TEST) --workspace --no-fail-fast
	BULWARK_FAST_PATH=off $(TEST) --workspace --no-fail-fast $(SLOW_PATH:%=--test %)

# Only what it runs: each program that is linked takes a minute or two.
demo: build-deps demo-deps ## Serve HTTP through a director in namespaces, show the distribution, flood it
	$(BUILD) build --release --package bulwark-director --package bulwark-tests --bin bulwarkd --bin demo
	$(BUILD_COMMAND_LINE)
	target/release/demo

bench-deps:
	$(call install_missing,$(BENCH_PACKAGES))

bench: deps bench-deps release-all ## Measure against the kernel and against the limit of this machine
	$(BUILD) bench --bench '*'
	target/release/bench gate
	target/release/bench cookies
	target/release/bench minting
	target/release/bench denying
	target/release/bench memory
	target/release/bench forwarding
	target/release/bench --into target/bench/frames $(SWEEP) --frames 64,512,1500
	target/release/bench --into target/bench/services $(SWEEP) --services 1,100,1000
	target/release/bench --into target/bench/reals $(SWEEP) --reals 30,1000
	target/release/bench web
	target/release/bench command-line
	target/release/bench flood
	target/release/bench flood --mixtures ack,udp,mix --seconds 10 --flooded nat,nftables
	target/release/bench restart

fuzz: build-deps ## Fuzz the frame parser for FUZZ_SECONDS (60)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing. Run: cargo install cargo-fuzz" >&2; exit 1; }
	cd tests && for target in $$(cargo +nightly fuzz list); do \
	  cargo +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS); done

fmt: rust ## Format the sources
	$(BUILD) fmt --all

lint: build-deps ## What the CI refuses: format, clippy, rustdoc
	cargo fmt --all --check
	$(BUILD) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Debian 13 has the oldest one itself; elsewhere rustup has it. Nothing is optimised: nothing is run.
msrv: build-deps ## Check with the oldest rustc that is promised
	@[[ "$$(rustc --version)" != "rustc $(MSRV)."* ]] || { echo "rustc is the oldest already: to build is the check"; exit 0; }; \
	$(AS_OWNER) rustup toolchain install --profile minimal --component rustfmt $(MSRV) >/dev/null 2>&1 || \
	  { echo "SKIPPED: rustup has no Rust $(MSRV) for this machine, or there is no rustup" >&2; exit 0; }; \
	$(BUILD) +$(MSRV) check --quiet --locked --workspace --lib --bins --target-dir target/msrv \
	  --config profile.dev.debug=0 --config 'profile.dev.package."*".opt-level=0'

install: release stage ## Install programs, man pages, completions, samples and systemd units under PREFIX (/usr/local)

deb: release cargo-deb ## Build a Debian package, target/deb/bulwark_VERSION_ARCH.deb
	packaging/deb/build

# Copies what is built.
stage: generated
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(BUILT)/bulwarkd
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BUILT)/bulwark
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/bulwarkd.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/bulwark.1 $(BUILT)/man/*.1
	install -D -m 644 $(BUILT)/completions/bulwark.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/bulwark
	install -D -m 644 $(BUILT)/completions/bulwark.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_bulwark
	install -D -m 644 $(BUILT)/completions/bulwark.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/bulwark.fish
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/bulwark conf/bulwark.toml conf/nat.toml conf/agent.toml conf/bulwarkd-unprivileged.conf \
	  conf/prometheus/bulwark.rules.yml conf/grafana/bulwark.json
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in bulwarkd bulwark-agent; do \
	  sed 's,/usr/local/,$(PREFIX)/,' conf/$$unit.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service; done

uninstall: ## Remove what install has put there; what is configured stays
	rm -rf $(addprefix $(DESTDIR)$(PREFIX)/,sbin/bulwarkd bin/bulwark share/doc/bulwark \
	  share/man/man8/bulwarkd.8 share/man/man1/bulwark.1 share/man/man1/bulwark-*.1 \
	  share/bash-completion/completions/bulwark share/zsh/site-functions/_bulwark \
	  share/fish/vendor_completions.d/bulwark.fish \
	  lib/systemd/system/bulwarkd.service lib/systemd/system/bulwark-agent.service)

clean: ## Remove what was built
	cargo clean
