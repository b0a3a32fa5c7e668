# Theseus: the server, its plugins and their tests. `make help` lists what there is.
#
# Everything that is made lies under $(BUILD). Nothing here needs a network; tools/setup installs what is missing.

VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
SYSCONFDIR ?= /etc
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/theseus
PKG_CONFIG ?= pkg-config
AR ?= ar
CLANG ?= clang-14
JOBS ?= $(shell nproc)

# `make V=1` prints the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) '$(2)')

.PHONY: all
all:

# ---- flags: CC, CFLAGS, CPPFLAGS and LDFLAGS are the caller's; what must hold in any case is ours -------------------

CFLAGS ?= -O2 -g
CORE_PACKAGES := libuv jansson sqlite3 inih libxxhash
# Mapped when they are first needed, by these names (core/base/library.h): each one would cost every start and every exec.
LATE_PACKAGES := libsodium libzstd libpcre2-8
soname = $(shell LC_ALL=C readelf -d "$$($(CC) -print-file-name=lib$(1).so)" 2>/dev/null | \
                 sed -n 's/.*(SONAME).*\[\(.*\)\].*/\1/p')
LATE_CPPFLAGS := -DSONAME_SODIUM='"$(call soname,sodium)"' -DSONAME_ZSTD='"$(call soname,zstd)"' \
                 -DSONAME_PCRE2='"$(call soname,pcre2-8)"'

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings
WARNINGS += $(if $(WERROR),-Werror)
# What the sanitizers and gcov see must be the code as written.
INSTRUMENTED := $(SANITIZE)$(COVERAGE)
HARDENING := -fstack-protector-strong $(if $(INSTRUMENTED),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SANITIZERS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) $(if $(COVERAGE),--coverage)
OUR_CPPFLAGS := -D_GNU_SOURCE -Iinclude -Icore -I$(BUILD)/gen -DTHESEUS_VERSION='"$(VERSION)"' \
                $(LATE_CPPFLAGS)
# The prefix map keeps the checkout's place out of the objects: the same bytes wherever they are built.
OUR_CFLAGS := -std=gnu17 $(WARNINGS) $(HARDENING) -fvisibility=hidden -fno-common -ffile-prefix-map=$(CURDIR)=. \
              $(SANITIZERS)
# Most symbols are the C library's: it is the first one in which the dynamic linker looks.
OUR_LDFLAGS := -Wl,-z,relro,-z,now -Wl,-O1 $(if $(INSTRUMENTED),,-Wl,--no-as-needed -lc) -Wl,--as-needed $(SANITIZERS)
# What walks a crashed stack lies in the program: nothing is to be loaded for it.
UNWINDER := $(if $(SANITIZE),,-static-libgcc)
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(CORE_PACKAGES) $(LATE_PACKAGES))
PACKAGE_LIBS := $(shell $(PKG_CONFIG) --libs $(CORE_PACKAGES)) -ldl -pthread -lm
PLUGIN_LIBS := $(shell $(PKG_CONFIG) --libs jansson) -pthread
# What one of them needs beside that: PLUGIN_PACKAGES_NAME.
PLUGIN_PACKAGES_tasks := sqlite3 libsodium
# A sanitizer's run-time library is found when the plugin is loaded, not when it is linked.
PLUGIN_LDFLAGS := -shared $(if $(SANITIZE),,-Wl,-z,defs)
COMPILE = $(CC) $(OUR_CPPFLAGS) $(CPPFLAGS) $(PACKAGE_CFLAGS) $(CFLAGS) $(OUR_CFLAGS) -MMD -MP
LINK = $(CC) $(CFLAGS) $(LDFLAGS) $(OUR_LDFLAGS)

# ---- what there is ---------------------------------------------------------------------------------------------------

CORE_SOURCES := $(filter-out core/server/main.c,$(sort $(wildcard core/*/*.c)))
CORE_OBJECTS := $(CORE_SOURCES:%.c=$(BUILD)/obj/%.o)
PLUGIN_NAMES := $(sort $(filter-out examples,$(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/*.c))))))
PLUGINS := $(PLUGIN_NAMES:%=$(BUILD)/plugins/%.so)
TASKS_NEXT := $(BUILD)/tests/plugins/tasks-next.so
FIXTURES := $(patsubst %.c,$(BUILD)/%.so,$(sort $(wildcard tests/plugins/*.c))) $(TASKS_NEXT)
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/*/*.c)))
SYSTEM_TESTS := $(sort $(wildcard tests/system/*.test.js tests/system/guide/*.test.js))
FUZZ_TARGETS := $(filter-out replay,$(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*.c))))
REPLAYS := $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%)
TRANSCRIPT_RUNNER := $(BUILD)/tests/transcripts/run
TRANSCRIPT_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/transcripts/*.c)))
TRANSCRIPT_MODES := pipe socket rebuild rebuild-early
# Under the sanitizers all takes several times as long. The transcripts are played in fewer ways, and ThreadSanitizer leaves
# to the other variants what only one thread does, and what brings no threads together that other tests do not.
ifneq ($(findstring address,$(SANITIZE)),)
TRANSCRIPT_MODES := socket rebuild
endif
ifneq ($(findstring thread,$(SANITIZE)),)
TRANSCRIPT_MODES := pipe
FUZZ_TARGETS :=
UNIT_TESTS := $(filter-out $(addprefix $(BUILD)/tests/unit/,base/% config/% rpc/% conn/recover \
    ledger/damage ledger/journal_open ledger/space ledger/order),$(UNIT_TESTS))
SYSTEM_TESTS := $(filter-out tests/system/guide/% $(patsubst %,tests/system/%.test.js,restart-faults start-faults work-faults \
    restore-faults command options modes messages refused files tool-list tasks-states templates import archive services),\
    $(SYSTEM_TESTS))
endif
BENCH_PROGRAMS := $(patsubst tests/%.c,$(BUILD)/%,$(sort $(wildcard tests/bench/*.c)))

all: $(BUILD)/theseus $(PLUGINS)

# Nothing may be left behind half made. Objects are kept, whether or not a rule names them.
.DELETE_ON_ERROR:
.SECONDARY:

# Other flags, other objects: this file changes when they do.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(COMPILE) $(LINK) $(LIBDIR) $(SYSCONFDIR)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE
FORCE:

$(BUILD)/obj/core/%.o: core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -fPIE -DTHESEUS_LIBDIR='"$(LIBDIR)"' -DTHESEUS_SYSCONFDIR='"$(SYSCONFDIR)"' -c -o $@ $<

# Hashes of the ledger and of plugins are on the way of every restart. Who uses it asks the processor first.
$(BUILD)/obj/core/base/hash_wide.o: OUR_CFLAGS += $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),-mavx2)

# The texts of `theseus client NAME`, as a C table.
CLIENT_TEXTS := $(sort $(wildcard config/clients/*.txt))
$(BUILD)/gen/server/clients.h: $(CLIENT_TEXTS)
	@mkdir -p $(@D)
	@{ echo '#define CLIENT_TEXTS \'; \
	for file in $(CLIENT_TEXTS); do \
	    echo "{\"$$(basename $$file .txt)\", \\"; \
	    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n" \\/' $$file; \
	    echo '}, \'; \
	done; echo; } >$@.new
	@mv $@.new $@
$(BUILD)/obj/core/server/client_command.o: $(BUILD)/gen/server/clients.h

# What there is no source for any more may neither stay in the library nor be loaded as a plugin.
$(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(CORE_SOURCES) $(PLUGINS) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else rm -f $(filter-out $(PLUGINS),$(wildcard $(BUILD)/plugins/*.so)); mv $@.new $@; fi

$(BUILD)/libcore.a: $(CORE_OBJECTS) $(BUILD)/sources
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(CORE_OBJECTS)

$(BUILD)/theseus: $(BUILD)/obj/core/server/main.o $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(LINK) $(UNWINDER) -pie -o $@.new $^ $(PACKAGE_LIBS)
	@mv $@.new $@

# A plugin is linked under another name and renamed: a server that watches the directory never sees half of it.
define PLUGIN_RULES
$(BUILD)/plugins/$(1).so: $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard plugins/$(1)/*.c)))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(LINK) $$(PLUGIN_LDFLAGS) -o $$@.new $$^ $$(PLUGIN_LIBS) \
	    $(if $(PLUGIN_PACKAGES_$(1)),$(shell $(PKG_CONFIG) --libs $(PLUGIN_PACKAGES_$(1))))
	@mv $$@.new $$@
endef
$(foreach name,$(PLUGIN_NAMES),$(eval $(call PLUGIN_RULES,$(name))))

$(BUILD)/obj/plugins/%.o: plugins/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -fPIC -c -o $@ $<

# ---- fixtures: plugins, good and bad, that the tests load ------------------------------------------------------------

.PHONY: fixtures
fixtures: $(FIXTURES)

$(BUILD)/obj/tests/plugins/%.o: tests/plugins/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -fPIC -c -o $@ $<

# Without -z defs: one of them has an undefined symbol on purpose.
$(BUILD)/tests/plugins/%.so: $(BUILD)/obj/tests/plugins/%.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -shared -o $@.new $^ $(PLUGIN_LIBS) -lsqlite3
	@mv $@.new $@

# The plugin tasks of another day: its own sources, with one more step for its tables.
TASKS_NEXT_PARTS := schema tasks
$(BUILD)/gen/tasks-next/%.c: plugins/tasks/%.c Makefile
	@mkdir -p $(@D)
	$(Q)sed -e 's/^    NULL,$$/    "ALTER TABLE tasks ADD COLUMN mood TEXT NOT NULL DEFAULT '\''calm'\''; CREATE INDEX tasks_mood ON tasks (mood)",\n&/' \
	    -e 's/\.version = "[^"]*"/.version = "9.9.9"/' $< >$@

$(TASKS_NEXT_PARTS:%=$(BUILD)/obj/tasks-next/%.o): $(BUILD)/obj/tasks-next/%.o: $(BUILD)/gen/tasks-next/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -Iplugins/tasks -fPIC -c -o $@ $<

$(TASKS_NEXT): $(TASKS_NEXT_PARTS:%=$(BUILD)/obj/tasks-next/%.o) \
    $(filter-out $(TASKS_NEXT_PARTS:%=$(BUILD)/obj/plugins/tasks/%.o),$(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard plugins/tasks/*.c))))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) $(PLUGIN_LDFLAGS) -o $@.new $^ $(PLUGIN_LIBS) $(shell $(PKG_CONFIG) --libs $(PLUGIN_PACKAGES_tasks))
	@mv $@.new $@

# The library that needs.so asks for, and that nobody will find.
NOWHERE := $(BUILD)/obj/tests/plugins/libtheseus-nowhere.so
$(NOWHERE): tests/plugins/needs.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -DFIXTURE_LIBRARY -fvisibility=default -Wno-missing-prototypes -fPIC $(LDFLAGS) -shared \
	    -Wl,-soname,libtheseus-nowhere.so.1 -o $@ $<

$(BUILD)/tests/plugins/needs.so: $(NOWHERE)

# ---- libraries that tests put under a server -----------------------------------------------------------------------

PRELOADS := $(patsubst %.c,$(BUILD)/%.so,$(sort $(wildcard tests/system/preload/*.c)))
.PHONY: preloads
preloads: $(PRELOADS)

# Without a sanitizer: they are there before its run-time library is.
$(PRELOADS): $(BUILD)/%.so: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) -D_GNU_SOURCE -std=gnu17 -O2 -g $(WARNINGS) -fvisibility=hidden -fPIC $(LDFLAGS) \
	    -shared -MMD -MP -o $@ $< -ldl

# ---- candidates: servers of another version, good and bad, that the tests restart into --------------------------------

CANDIDATES := none preflight-exits preflight-crashes preflight-hangs preflight-differs \
    first-exits first-crashes first-aborts first-hangs early-exits early-crashes early-aborts early-hangs early-fails \
    late-exits late-crashes late-aborts late-hangs ended-crashes
CANDIDATE_PROGRAMS := $(CANDIDATES:%=$(BUILD)/tests/candidates/%)
CANDIDATE_WRAPS := preflight_main ledger_digest ledger_open server_new conn_start restart_end
# Where the version is said, said otherwise; the rest is the server's own.
CANDIDATE_OBJECTS := $(patsubst %.c,$(BUILD)/obj/candidates/%.o,$(shell grep -l THESEUS_VERSION core/*/*.c))

.PHONY: candidates
candidates: $(CANDIDATE_PROGRAMS)

$(BUILD)/obj/candidates/core/%.o: core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -UTHESEUS_VERSION -DTHESEUS_VERSION='"9.9.9"' -fPIE -DTHESEUS_LIBDIR='"$(LIBDIR)"' \
	    -DTHESEUS_SYSCONFDIR='"$(SYSCONFDIR)"' -c -o $@ $<

$(CANDIDATES:%=$(BUILD)/obj/candidates/%.o): $(BUILD)/obj/candidates/%.o: tests/candidates/fault.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -DFAULT='"$*"' -fPIE -c -o $@ $<

$(CANDIDATE_PROGRAMS): $(BUILD)/tests/candidates/%: $(BUILD)/obj/candidates/%.o $(CANDIDATE_OBJECTS) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) $(UNWINDER) -pie $(CANDIDATE_WRAPS:%=-Wl,--wrap=%) -o $@.new $^ $(PACKAGE_LIBS)
	@mv $@.new $@

# ---- programs of the tests and of the build --------------------------------------------------------------------------

$(BUILD)/obj/tests/%.o: tests/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -Itests/unit -Itests/bench -Itests/transcripts -Werror=unused-function -fPIE -c -o $@ $<

$(BUILD)/obj/tools/%.o: tools/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -fPIE -c -o $@ $<

# ThreadSanitizer wants a library that tests/tsan.supp names to stay; a plugin that is unloaded would take it along.
KEEP_JANSSON := $(if $(findstring thread,$(SANITIZE)),-Xlinker --no-as-needed -ljansson)

# $(call link_program,LIBRARIES)
define link_program
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) $(UNWINDER) -pie -o $@ $(filter %.o %.a,$^) $(1) $(PACKAGE_LIBS) $(KEEP_JANSSON)
endef

CMOCKA_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)
$(UNIT_TESTS): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/libcore.a
	$(call link_program,$(CMOCKA_LIBS))

$(TRANSCRIPT_RUNNER): $(TRANSCRIPT_OBJECTS) $(BUILD)/libcore.a
	$(call link_program)

$(REPLAYS): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libcore.a
	$(call link_program)

BENCH_LIB := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/bench/lib/*.c)))
$(BENCH_PROGRAMS): $(BUILD)/%: $(BUILD)/obj/tests/%.o $(BENCH_LIB) $(BUILD)/libcore.a
	$(call link_program)

# Prints the option table: print ini | markdown | man
$(BUILD)/tools/print: $(BUILD)/obj/tools/print.o $(BUILD)/libcore.a
	$(call link_program)

# ---- tests -----------------------------------------------------------------------------------------------------------

export THESEUS_TEST_DATA ?= ../shared
# The variant that is tested; crashing fixtures shall die of their signal, not of a sanitizer's report.
export ASAN_OPTIONS ?= handle_segv=0:handle_abort=0:allocator_may_return_null=1
export TSAN_OPTIONS ?= handle_segv=0:handle_abort=0:allocator_may_return_null=1:report_signal_unsafe=0:halt_on_error=1:suppressions=$(CURDIR)/tests/tsan.supp
export UBSAN_OPTIONS ?= halt_on_error=1:print_stacktrace=1
# Files of tests at a time. Most tests wait more than they work, but not those of a sanitizer.
TEST_FILES ?= $(if $(SANITIZE),$(JOBS),$(shell expr $(JOBS) + 1))
NODE_TEST = node --test --test-reporter=spec --test-concurrency=$(TEST_FILES)
# A make that a test runs is not a part of this one.
RUN := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL THESEUS='$(abspath $(BUILD)/theseus)' BUILD='$(abspath $(BUILD))'

.PHONY: unit transcripts system clients fuzz-replay bench-programs test-programs
unit: all fixtures $(UNIT_TESTS)
	$(Q)$(RUN) tools/run-unit -j $(JOBS) $(UNIT_TESTS)

# Over pipes, over socket pairs, and with the server thrown away between any two requests. TRANSCRIPTS names the files.
TRANSCRIPTS ?= $(sort $(wildcard tests/transcripts/*.jsonl))
PLAY := $(TRANSCRIPT_MODES:%=transcripts-%)
.PHONY: $(PLAY)
transcripts: $(PLAY)
$(PLAY): transcripts-%: all fixtures $(TRANSCRIPT_RUNNER)
	$(Q)if $(TRANSCRIPT_RUNNER) --$* $(TRANSCRIPTS) >$(TRANSCRIPT_RUNNER)-$*.log 2>&1; then \
	    echo "transcripts, $*: $$(tail -n 1 $(TRANSCRIPT_RUNNER)-$*.log)"; \
	else \
	    grep -v '^ok' $(TRANSCRIPT_RUNNER)-$*.log; echo 'transcripts, $*: FAILED'; exit 1; \
	fi

# SYSTEM names the files to run; all of them unless it is given.
SYSTEM ?= $(SYSTEM_TESTS)
system: all fixtures candidates preloads
	$(if $(findstring /guide/,$(SYSTEM)),@tools/node-modules --check tests/clients)
	$(Q)$(RUN) $(NODE_TEST) $(SYSTEM)

clients: all fixtures bench-programs
	@tools/node-modules --check tests/clients
	$(Q)$(RUN) $(NODE_TEST) tests/clients/*.test.js tests/bench/*.test.mjs

# Each target over its corpus; ELF files are made by the build, they need none.
fuzz-replay: $(REPLAYS) fixtures
	$(Q)for target in $(FUZZ_TARGETS); do \
	    corpus=tests/fuzz/corpus/$$target; \
	    [ -d $$corpus ] || corpus=$(BUILD)/tests/plugins; \
	    $(BUILD)/tests/fuzz/$$target $$corpus || exit 1; \
	done

bench-programs: $(BENCH_PROGRAMS)
# Of the variants no benchmark is run.
test-programs: all fixtures preloads candidates $(UNIT_TESTS) $(TRANSCRIPT_RUNNER) $(REPLAYS) \
    $(if $(SANITIZE)$(COVERAGE),,$(BENCH_PROGRAMS)) $(BUILD)/tools/print

.PHONY: check test demo bench
# In parts that follow each other, each with all processors unless the caller has said how many. (The + tells make that
# such a line runs make.)
PART = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j $(JOBS))

check: format-check layers
	+@$(PART) test-programs
	+@$(PART) unit
	+@$(PART) transcripts docs-check

# Every part is run, whatever became of the others.
PARTS ?= format-check layers docs-check lint test-programs unit transcripts fuzz-replay build-check system clients asan tsan
test:
	+@failed=; summary=; \
	for part in $(PARTS); do \
	    printf '\n==== %s\n' $$part; begin=$$(date +%s); verdict=passed; \
	    $(PART) $$part || { verdict=FAILED; failed="$$failed $$part"; }; \
	    summary="$$summary$$(printf '%-14s %s, %d s' $$part $$verdict $$(($$(date +%s) - begin)))\n"; \
	done; \
	printf "\n==== all parts\n$$summary"; \
	if [ -n "$$failed" ]; then echo "test: FAILED:$$failed"; exit 1; fi

demo: all fixtures
	@tools/node-modules --check tests/demo
	$(Q)node tests/demo/demo.js '$(BUILD)'

bench: all fixtures candidates bench-programs
	@tools/node-modules --check tests/clients
	$(Q)node tests/bench/run.mjs --build '$(BUILD)' $(BENCH)

# ---- variants: the same tests in programs that watch themselves ------------------------------------------------------

# VARIANT_PARTS and SYSTEM (files) choose less.
VARIANT_PARTS ?= test-programs unit transcripts fuzz-replay system
VARIANT = $(MAKE) --no-print-directory test PARTS='$(VARIANT_PARTS)'
.PHONY: asan tsan coverage
asan:
	+@$(VARIANT) BUILD=build/asan SANITIZE=address,undefined CFLAGS='-O1 -g'

tsan:
	+@$(VARIANT) PARTS='$(filter-out fuzz-replay,$(VARIANT_PARTS))' BUILD=build/tsan SANITIZE=thread CFLAGS='-O1 -g'

coverage:
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	+@$(VARIANT) BUILD=build/coverage COVERAGE=yes CFLAGS='-O0 -g' || true
	@tools/coverage build/coverage

# libFuzzer where clang is there. FUZZ_SECONDS is for each target; what is found lies in build/fuzz/TARGET.
FUZZ_SECONDS ?= 60
.PHONY: fuzz fuzzers
fuzz:
	@command -v $(CLANG) >/dev/null || { echo 'fuzz: $(CLANG) is not here; tools/setup --tests installs it' >&2; exit 1; }
	+@$(PART) BUILD=build/fuzz CC=$(CLANG) SANITIZE=fuzzer-no-link,address,undefined CFLAGS='-O1 -g' fuzzers fixtures
	@failed=; for target in $(FUZZ_TARGETS); do \
	    mkdir -p build/fuzz/$$target; seeds=tests/fuzz/corpus/$$target; \
	    [ -d $$seeds ] || seeds=build/fuzz/tests/plugins; \
	    echo "fuzz: $$target, $(FUZZ_SECONDS) s"; \
	    build/fuzz/fuzzers/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
	        -print_final_stats=1 -artifact_prefix=build/fuzz/$$target- build/fuzz/$$target $$seeds || failed="$$failed $$target"; \
	done; \
	if [ -n "$$failed" ]; then echo "fuzz: FAILED:$$failed (the inputs are build/fuzz/TARGET-*)"; exit 1; fi

FUZZERS := $(FUZZ_TARGETS:%=$(BUILD)/fuzzers/%)
fuzzers: $(FUZZERS)
$(FUZZERS): $(BUILD)/fuzzers/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -fsanitize=fuzzer -pie -o $@ $^ $(PACKAGE_LIBS)

# ---- checks of the sources and of what was built ---------------------------------------------------------------------

.PHONY: format format-check layers lint docs-check build-check
format:
	@tools/check-format --fix

format-check:
	@tools/check-format

layers:
	@tools/check-layers --self-test
	@tools/check-layers

# Which thread may call what (core/base/thread.h); clang alone can tell. And shell scripts, where shellcheck is there.
SCRIPTS = $(shell grep -rlI '^\#!.*sh$$' tools .ci tests/system)
lint: $(BUILD)/gen/server/clients.h
	@if command -v $(CLANG) >/dev/null; then \
	    printf '%s\n' core/*/*.c | xargs -n 8 -P $(JOBS) $(CLANG) -fsyntax-only -std=gnu17 -ferror-limit=0 -Wthread-safety \
	        -Werror=thread-safety $(OUR_CPPFLAGS) $(PACKAGE_CFLAGS) -DTHESEUS_LIBDIR='""' -DTHESEUS_SYSCONFDIR='""' && \
	    echo 'lint: every function runs on the thread that it was written for'; \
	else echo 'lint: skipped, $(CLANG) is not here (tools/setup --tests installs it)'; fi
	@if command -v shellcheck >/dev/null; then \
	    shellcheck $(SCRIPTS) && echo 'lint: shellcheck has nothing to say'; \
	else echo 'lint: shellcheck is not here, the scripts are not looked at'; fi

# What is printed from the option table is what stands in the files.
docs-check: $(BUILD)/tools/print
	@tools/check-docs $(BUILD)/tools/print

build-check:
	@tools/check-build

# ---- the manual page, installing -------------------------------------------------------------------------------------

$(BUILD)/theseus.1: tools/theseus.1.in $(BUILD)/tools/print
	@$(BUILD)/tools/print man >$@.options
	@sed -e '/^@OPTIONS@$$/{' -e 'r $@.options' -e 'd' -e '}' \
	    -e 's|@VERSION@|$(VERSION)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' $< >$@.new
	@rm $@.options
	@mv $@.new $@

$(BUILD)/theseus.pc: theseus.pc.in $(BUILD)/flags
	@sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' \
	    -e 's|@VERSION@|$(VERSION)|g' $< >$@.new
	@mv $@.new $@

# For the managers of users, which find it below /usr/local, too.
UNITDIR = $(PREFIX)/lib/systemd/user

.PHONY: man install uninstall
man: $(BUILD)/theseus.1

INSTALLED = '$(DESTDIR)$(PREFIX)/bin/theseus' \
            $(PLUGIN_NAMES:%='$(DESTDIR)$(LIBDIR)/theseus/plugins/%.so') \
            $(patsubst include/%,'$(DESTDIR)$(INCLUDEDIR)/%',$(wildcard include/theseus/*.h)) \
            '$(DESTDIR)$(LIBDIR)/pkgconfig/theseus.pc' \
            '$(DESTDIR)$(MANDIR)/man1/theseus.1' \
            '$(DESTDIR)$(DOCDIR)/theseus.ini' \
            '$(DESTDIR)$(UNITDIR)/theseus.service' '$(DESTDIR)$(UNITDIR)/theseus.socket'

# install(1) unlinks what it replaces, so a server that runs keeps its own file.
install: all $(BUILD)/theseus.1 $(BUILD)/theseus.pc
	@install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(LIBDIR)/theseus/plugins' '$(DESTDIR)$(INCLUDEDIR)/theseus' \
	    '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(MANDIR)/man1' '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(UNITDIR)'
	@install -m 755 $(BUILD)/theseus '$(DESTDIR)$(PREFIX)/bin/theseus'
	@for plugin in $(PLUGIN_NAMES); do \
	    install -m 644 $(BUILD)/plugins/$$plugin.so '$(DESTDIR)$(LIBDIR)/theseus/plugins/'.$$plugin.new && \
	    mv '$(DESTDIR)$(LIBDIR)/theseus/plugins/'.$$plugin.new '$(DESTDIR)$(LIBDIR)/theseus/plugins/'$$plugin.so || exit 1; \
	done
	@install -m 644 include/theseus/*.h '$(DESTDIR)$(INCLUDEDIR)/theseus/'
	@install -m 644 $(BUILD)/theseus.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/theseus.pc'
	@install -m 644 $(BUILD)/theseus.1 '$(DESTDIR)$(MANDIR)/man1/theseus.1'
	@install -m 644 config/theseus.ini '$(DESTDIR)$(DOCDIR)/theseus.ini'
	@sed 's|/usr/local/bin/|$(PREFIX)/bin/|' config/systemd/theseus.service >'$(DESTDIR)$(UNITDIR)/theseus.service'
	@chmod 644 '$(DESTDIR)$(UNITDIR)/theseus.service'
	@install -m 644 config/systemd/theseus.socket '$(DESTDIR)$(UNITDIR)/theseus.socket'
	@printf 'installed %s\n' $(INSTALLED)

uninstall:
	@rm -f $(INSTALLED)
	@rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(LIBDIR)/theseus/plugins' '$(DESTDIR)$(LIBDIR)/theseus' \
	    '$(DESTDIR)$(INCLUDEDIR)/theseus' '$(DESTDIR)$(DOCDIR)' 2>/dev/null || true
	@printf 'removed %s\n' $(INSTALLED)

.PHONY: clean help
clean:
	rm -rf $(BUILD)

help:
	@sed -n 's/^#: \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

#: make                the server (build/theseus) and its plugins (build/plugins)
#: make demo           a narrated run of the main job with a real client; tools/demo does the set-up first
#: make test           every test; tools/test does the set-up first
#: make check          the fast part of it: format, layers, unit, transcripts, documentation
#: make unit           unit tests                    make transcripts    golden conversations
#: make system         the real server, ill-treated  make clients        official MCP clients
#: make fuzz-replay    the parsers over their corpora
#: make fuzz           libFuzzer on each parser for FUZZ_SECONDS=60
#: make asan tsan      unit, transcript and system tests under sanitizers
#: make coverage       the same under gcov, and the share of lines that ran
#: make bench          Theseus beside other servers; BENCH=--quick for a short run
#: make format         formats the sources           make lint           thread roles, shell scripts
#: make build-check    builds twice, installs, uninstalls
#: make install        make uninstall                make clean
#:
#: CC, CFLAGS, CPPFLAGS, LDFLAGS, PREFIX, LIBDIR, SYSCONFDIR and DESTDIR as usual; V=1 prints the commands, WERROR=1 makes
#: errors of warnings, BUILD=build/NAME builds elsewhere, SANITIZE=address,undefined with a sanitizer.

-include $(shell find $(BUILD)/obj $(BUILD)/tests/system -name '*.d' 2>/dev/null)
