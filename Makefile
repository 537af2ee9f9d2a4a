# pyrec and pyanalyze. `make help` lists the targets, README.md says how the tree is laid out.
#
# Variables for the command line:
#   PYTHON, PYTHONS   the interpreters to build the recorder for (python3)
#   CC, CFLAGS, CPPFLAGS, LDFLAGS, PREFIX, DESTDIR    as everywhere
#   BUILD             where products go (build)
#   DEBUG=1, SANITIZE=address,undefined               other flags, in a folder of their own below BUILD
#   PRELOADED=1       with SANITIZE=address: the recorder too, for interpreters into which libasan.so is preloaded
#   WERROR=1          warnings are errors          V=1   show the commands          DEPS=no   never install anything

VERSION := 0.1.0

BUILD ?= build
PREFIX ?= /usr/local
PYTHON ?= python3
PYTHONS ?= $(PYTHON)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

comma := ,
empty :=
space := $(empty) $(empty)

# ---- flags --------------------------------------------------------------------------------------

variant := $(if $(DEBUG),/debug)$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE))$(if $(PRELOADED),-preloaded))
out := $(BUILD)$(variant)
obj := $(out)/obj

CFLAGS ?= $(if $(DEBUG),-O0 -g3,-O2 -g)
warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
            $(if $(WERROR),-Werror)
optimized := $(filter -O1 -O2 -O3 -Os,$(CFLAGS))
fortify := $(if $(SANITIZE)$(findstring FORTIFY,$(CPPFLAGS) $(CFLAGS)),,$(if $(optimized),-D_FORTIFY_SOURCE=2))
# A sanitized extension is loaded into an interpreter that is not: no AddressSanitizer there, unless it is preloaded.
sanitizers = -fsanitize=$(1) -fno-sanitize-recover=all -fno-omit-frame-pointer
sanitize := $(if $(SANITIZE),$(call sanitizers,$(SANITIZE)))
inner := $(subst $(space),$(comma),$(filter-out $(if $(PRELOADED),,address),$(subst $(comma),$(space),$(SANITIZE))))
sanitize_inner := $(if $(inner),$(call sanitizers,$(inner)))

multiarch := $(shell $(CC) -print-multiarch 2>/dev/null)
cppflags := -I. -I$(out) -D_GNU_SOURCE -DPYREC_VERSION='"$(VERSION)"' -DPYREC_MULTIARCH='"$(multiarch)"' \
            $(fortify) $(CPPFLAGS)
# As Debian has them. Marks of where an indirect jump may lead cost the extension an instruction and more an event,
# for nothing where the interpreter around it has none: only our own programs have them.
hardening := -fstack-protector-strong -fstack-clash-protection
marked_jumps := $(if $(filter x86_64%,$(multiarch)),-fcf-protection)
# Where the hooks begin in a cache line is worth up to 5 % of recording, and else changes with every line of code.
aligned := $(if $(optimized),-falign-functions=64)
cflags := -std=gnu11 -pthread -fPIC $(hardening) $(warnings) $(CFLAGS)
ldflags := -pthread -Wl,-z,relro,-z,now $(LDFLAGS)

compile = $(CC) $(cppflags) $(cflags) -MD -MP
quiet := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# ---- sources and products -----------------------------------------------------------------------

trace_sources := $(wildcard formats/trace/*.c)
command_sources := $(wildcard recorder/pyrec*.c) recorder/preload_env.c $(wildcard recorder/sink*.c) recorder/clock.c $(trace_sources)
preload_sources := $(wildcard recorder/preload*.c)
recorder_sources := $(filter-out $(patsubst %,recorder/%.c,pyrec pyrec_python pyrec_then) recorder/preload%,$(wildcard recorder/*.c)) \
                    $(wildcard recorder/backend/*.c) $(trace_sources)
analyzer_sources := $(filter-out analyzer/extension.c,$(wildcard analyzer/*.c)) $(wildcard formats/*.c) $(trace_sources)
events_sources := $(filter-out analyzer/main.c analyzer/command% analyzer/options.c analyzer/progress.c analyzer/sql.c analyzer/sql_rows.c \
                    analyzer/sql_table.c analyzer/terminal.c,\
                    $(wildcard analyzer/*.c)) formats/error.c formats/text.c formats/text_width.c $(trace_sources)
unit_sources := $(wildcard tests/unit/test_*.c)
fuzz_targets := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_shared := $(filter-out tests/fuzz/fuzz_% tests/fuzz/seeds.c tests/fuzz/replay.c tests/fuzz/mutate.c,\
                 $(wildcard tests/fuzz/*.c))

library := $(out)/lib/pyrec
package := $(out)/python/pyrec
programs := $(out)/pyrec $(out)/pyanalyze $(library)/preload.so $(out)/pyrec_events.so $(package)
unit_programs := $(unit_sources:tests/unit/%.c=$(out)/unit/%)
fuzz_programs := $(fuzz_targets:%=$(out)/fuzz/%)

assets := $(wildcard formats/*.js formats/*.css formats/*.html formats/*.svg)
generated := $(out)/generated/profile_sql.h \
             $(foreach a,$(assets),$(out)/generated/$(subst .,_,$(notdir $(a))).h)

objects = $(patsubst %.c,$(obj)/$(1)/%.o,$(2))

# The interpreters are asked only by goals that build; a fresh machine has none yet.
unbuilt := help clean deps demo check lint sanitize bench bench-sampling bench-peers bench-check uninstall torture fuzz fuzz-programs
building := $(filter-out $(unbuilt),$(or $(MAKECMDGOALS),all))
python_query := import sys, sysconfig as s; p = s.get_path; v = sys.version_info; \
    i = sorted({p("include"), p("platinclude")}); \
    s.get_config_var("Py_GIL_DISABLED") and sys.exit(print("free-threaded")); \
    (3, 9) <= v[:2] <= (3, 14) or sys.exit(print("CPython %d.%d.%d" % v[:3])); \
    print(s.get_config_var("SOABI"), *("-isystem %s -isystem %s/internal" % (d, d) for d in i))

# define_python(interpreter): rules for the extension of one interpreter; the first of two with the same SOABI wins.
define define_python
answer := $$(shell $(1) -c '$(python_query)' 2>/dev/null)
soabi := $$(firstword $$(answer))
ifeq ($$(soabi),)
$$(error $(1) does not run: choose another with PYTHON=, or `make deps`)
endif
ifneq ($$(filter free-threaded CPython,$$(soabi)),)
$$(error $(1) is $$(answer): pyrec records CPython 3.9 to 3.14 with the GIL)
endif
ifeq ($$(filter $$(soabi),$$(soabis)),)
soabis += $$(soabi)
extensions += $(library)/$$(soabi)/pyrec.so
$(library)/$$(soabi)/pyrec.so: $$(call objects,$$(soabi),$(recorder_sources))
$(obj)/$$(soabi)/%.o: python_flags := $$(wordlist 2,99,$$(answer)) -DPYREC_SOABI='"$$(soabi)"'
endif
endef

soabis :=
extensions :=
ifneq ($(building),)
$(foreach python,$(PYTHONS),$(eval $(call define_python,$(python))))
endif

# Parts by name, to build one of them: make pyanalyze
.PHONY: pyrec preload recorder pyanalyze events
pyrec: $(out)/pyrec
preload: $(library)/preload.so
recorder: $(extensions)
pyanalyze: $(out)/pyanalyze
events: $(out)/pyrec_events.so

all: $(programs) $(extensions) ## build everything (the default): pyrec, pyanalyze and the recorder for PYTHONS

# ---- rules --------------------------------------------------------------------------------------

$(out)/pyrec: $(call objects,plain,$(command_sources))
$(out)/pyanalyze: $(call objects,plain,$(analyzer_sources))
$(out)/pyanalyze: libraries := -lsqlite3 -lzip -lz -lm
$(out)/pyrec $(out)/pyanalyze: $(obj)/flags
	$(call say,link,$@)
	$(quiet)mkdir -p $(@D)
	$(quiet)$(CC) $(cflags) $(sanitize) -pie $(ldflags) -o $@ $(filter %.o,$^) $(libraries)

$(library)/preload.so: $(call objects,preload,$(preload_sources))
$(library)/preload.so: libraries := -ldl
$(out)/pyrec_events.so: $(obj)/events/analyzer/extension.o $(obj)/events/needed.a
$(library)/preload.so $(out)/pyrec_events.so $(extensions): $(obj)/flags
	$(call say,link,$@)
	$(quiet)mkdir -p $(@D)
	$(quiet)$(CC) $(cflags) $(sanitize_inner) -shared $(ldflags) -o $@ $(filter %.o %.a,$^) $(libraries)

# The loadable extension reaches SQLite through the pointers it is given, so its objects are its own.
$(obj)/events/needed.a: $(filter-out %/extension.o,$(call objects,events,$(events_sources)))
$(obj)/tests.a: $(filter-out %/analyzer/main.o %/recorder/pyrec.o,\
                  $(sort $(call objects,plain,$(analyzer_sources) $(command_sources) recorder/suspended.c recorder/codes_known.c)))
%.a:
	$(call say,archive,$@)
	$(quiet)rm -f $@ && $(AR) rcs $@ $^

$(out)/unit/%: $(obj)/plain/tests/unit/%.o $(obj)/tests.a $(obj)/flags
	$(call say,link,$@)
	$(quiet)mkdir -p $(@D)
	$(quiet)$(CC) $(cflags) $(sanitize) -pie $(ldflags) -o $@ $< $(obj)/tests.a -lcmocka -lsqlite3 -lzip -lz -lm

# The fuzz targets: FUZZER=1 links them with libFuzzer, else they only read inputs again.
$(obj)/fuzz.a: $(call objects,plain,$(fuzz_shared))
$(out)/fuzz/%: $(obj)/plain/tests/fuzz/fuzz_%.o $(if $(FUZZER),,$(obj)/plain/tests/fuzz/replay.o) \
               $(obj)/fuzz.a $(obj)/tests.a $(obj)/flags
	$(call say,link,$@)
	$(quiet)mkdir -p $(@D)
	$(quiet)$(CC) $(cflags) $(sanitize) $(if $(FUZZER),-fsanitize=fuzzer) -pie $(ldflags) -o $@ \
	    $(filter %.o,$^) $(obj)/fuzz.a $(obj)/tests.a -lsqlite3 -lzip -lz -lm
$(out)/fuzz/profile $(out)/fuzz/replay: $(obj)/plain/tests/fuzz/mutate.o
$(out)/fuzz-seeds: $(obj)/plain/tests/fuzz/seeds.o $(obj)/fuzz.a $(obj)/tests.a
	$(call say,link,$@)
	$(quiet)$(CC) $(cflags) $(filter-out fuzzer%,$(sanitize)) -pie $(ldflags) -o $@ $(filter %.o %.a,$^) -lsqlite3 -lzip -lz -lm

# The Python package, where `import pyrec` finds the rest of the build.
$(package):
	$(quiet)mkdir -p $(@D)
	$(quiet)ln -sfn $(abspath recorder/python/pyrec) $@

.PRECIOUS: $(obj)/plain/%.o

# Objects in folders by how they are compiled: plain, preload (its names replace libc's), events, one a SOABI.
$(obj)/plain/%.o: object_flags = $(sanitize) -fvisibility=hidden $(marked_jumps)
$(obj)/preload/%.o: object_flags = $(sanitize_inner)
$(obj)/events/%.o: object_flags = $(sanitize_inner) -fvisibility=hidden $(marked_jumps) -DPYREC_LOADABLE
$(obj)/cpython-%.o: object_flags = $(sanitize_inner) -fvisibility=hidden $(aligned) $(python_flags)

define define_objects
$(obj)/$(1)/%.o: %.c $(obj)/flags | $(generated)
	$$(call say,cc,$$<$(if $(filter plain,$(1)),, ($(1))))
	$$(quiet)mkdir -p $$(@D)
	$$(quiet)$$(compile) $$(object_flags) -c -o $$@ $$<
endef
$(foreach group,plain preload events $(soabis),$(eval $(call define_objects,$(group))))

# Changed flags rebuild everything.
$(obj)/flags: force
	$(quiet)mkdir -p $(@D)
	$(quiet)printf '%s\n' '$(subst ','\'',$(compile) $(ldflags) $(sanitize))' | cmp -s - $@ || \
	    printf '%s\n' '$(subst ','\'',$(compile) $(ldflags) $(sanitize))' >$@

# embed(file, C name): the text as a C string, one literal a line.
embed = printf 'static const char $(2)[] =\n' && sed -e 's/\\/\\\\/g; s/"/\\"/g; s/?/\\?/g; s/^/    "/; s/$$/\\n"/' $(1) && echo '    "";'

$(out)/generated/profile_sql.h: formats/profile.sql formats/profile_indexes.sql
	$(quiet)mkdir -p $(@D)
	$(quiet){ $(call embed,formats/profile.sql,profile_schema_sql) && \
	    $(call embed,formats/profile_indexes.sql,profile_indexes_sql); } >$@

# formats/NAME.EXT becomes generated/NAME_EXT.h with `static const char NAME_EXT[]`.
define define_asset
$(out)/generated/$(subst .,_,$(notdir $(1))).h: $(1)
	$$(quiet)mkdir -p $$(@D)
	$$(quiet){ $$(call embed,$(1),$(subst .,_,$(notdir $(1)))); } >$$@
endef
$(foreach a,$(assets),$(eval $(call define_asset,$(a))))

# ---- everything else ----------------------------------------------------------------------------

.PHONY: all deps demo check check-built torture torture-built unit unit-programs e2e lint sanitize fuzz fuzz-programs bench bench-sampling bench-peers bench-check install uninstall clean help force

deps: ## install what is missing (apt-get; names the packages when not root)
	@tools/deps.sh install all

demo: ## build, record a sample, show the result
	@tools/deps.sh $(if $(filter no,$(DEPS)),report,install) demo
	@+$(MAKE) --no-print-directory all
	@PYREC_PYTHON="$$(command -v $(firstword $(PYTHONS)))" tools/demo.sh $(out)

check: ## build for every CPython found and run all tests
	@tools/deps.sh $(if $(filter no,$(DEPS)),report,install) check
	@+$(MAKE) --no-print-directory check-built PYTHONS="$$(tools/pythons.sh | tr '\n' ' ')"

check-built: all $(unit_programs) fuzz-programs $(out)/fault.so
	@$(PYTHON) tests/run.py --build $(out) --pythons "$(PYTHONS)" unit e2e

torture: ## the long tests, for every CPython found: hours; prints the figures of the README (TORTURE="--only kill")
	@tools/deps.sh $(if $(filter no,$(DEPS)),report,install) torture
	@+$(MAKE) --no-print-directory torture-built PYTHONS="$$(tools/pythons.sh | tr '\n' ' ')"

torture-built: all
	@$(PYTHON) tests/run.py --build $(out) --pythons "$(PYTHONS)" $(TORTURE) torture

unit-programs: $(unit_programs)

unit: $(unit_programs) ## run the unit tests
	@$(PYTHON) tests/run.py --build $(out) unit

e2e: all ## run the tests of whole programs with PYTHONS
	@$(PYTHON) tests/run.py --build $(out) --pythons "$(PYTHONS)" e2e

lint: ## warnings as errors, clang-tidy, cppcheck, the include law, shellcheck
	@+tests/lint/lint.sh $(MAKE) $(BUILD)

sanitize: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer, the recorder inside interpreters too
	@+ASAN_OPTIONS=verify_asan_link_order=0 $(MAKE) --no-print-directory check-built SANITIZE=address,undefined PYTHONS="$(PYTHONS)"
	@+$(MAKE) --no-print-directory pyanalyze
	@PYREC_SANITIZED=1 $(PYTHON) tests/run.py --build $(BUILD) --pythons "$(PYTHONS)" --only test_sanitized e2e

fuzz-programs: $(fuzz_programs) $(out)/fuzz-seeds

# For LD_PRELOAD: makes one call of a program fail. Never sanitized: it stands before all that.
$(out)/fault.so: tests/fault/fault.c $(obj)/flags
	$(call say,link,$@)
	$(quiet)$(CC) $(cppflags) $(cflags) -shared $(ldflags) -o $@ $< -ldl

SECONDS ?= 60
FUZZ_CC ?= $(notdir $(firstword $(shell command -v clang clang-14)))
fuzzing := FUZZER=1 CC=$(FUZZ_CC) SANITIZE=fuzzer-no-link$(comma)address$(comma)undefined

fuzz: ## fuzz all targets, SECONDS=60 in all; what breaks one is kept in tests/corpus
	@+$(MAKE) --no-print-directory fuzz-programs $(fuzzing) DEBUG=
	@tests/fuzz/run.sh $(BUILD)/sanitize-fuzzer-no-link-address-undefined/fuzz $(SECONDS)

bench: ## what recording and analyzing cost, beside other profilers (PYTHONS; BENCH_LONG=1; BENCH="--rounds 3 ...")
	@+$(MAKE) --no-print-directory all
	@$(PYTHON) tests/bench/bench.py --build $(out) --pythons "$(PYTHONS)" $(if $(BENCH_LONG),--long) $(BENCH)
	@$(PYTHON) tests/bench/sampling.py --build $(out) --pythons "$(PYTHONS)"

bench-sampling: ## what samples cost and how true they are, beside their targets and peers (PYTHONS; BENCH="--parts slowdown")
	@+$(MAKE) --no-print-directory all
	@$(PYTHON) tests/bench/sampling.py --build $(out) --pythons "$(PYTHONS)" $(BENCH)

bench-peers: ## install the other profilers: Debian's, and PyPI's into virtual environments below BUILD
	@tests/bench/peers.sh $(out)/bench $(PYTHONS)

bench-check: ## instructions an event, beside tests/bench/baseline.json (BENCH=--update writes it anew)
	@+$(MAKE) --no-print-directory all BUILD=$(BUILD)/bench/counting DEBUG= SANITIZE= CPPFLAGS=-DPYREC_COUNTING_CLOCK
	@$(PYTHON) tests/bench/check.py --build $(BUILD)/bench/counting --pythons "$(PYTHONS)" $(BENCH)

man_pages = $(wildcard recorder/*.1 analyzer/*.1)
completions = $(wildcard completion/*.bash completion/_*)
bin = $(DESTDIR)$(PREFIX)/bin
lib = $(DESTDIR)$(PREFIX)/lib/pyrec
share = $(DESTDIR)$(PREFIX)/share

install: all ## install below PREFIX (and DESTDIR)
	install -d $(bin) $(lib) $(share)/man/man1 $(share)/bash-completion/completions $(share)/zsh/site-functions
	install -m 755 $(out)/pyrec $(out)/pyanalyze $(bin)
	install -m 644 $(library)/preload.so $(out)/pyrec_events.so $(lib)
	for d in $(soabis); do install -D -m 644 $(library)/$$d/pyrec.so $(lib)/$$d/pyrec.so || exit 1; done
	cd recorder/python && find pyrec -name '*.py' -exec install -D -m 644 {} $(abspath $(lib))/python/{} \;
	for f in $(man_pages); do install -m 644 $$f $(share)/man/man1 || exit 1; done
	for f in $(filter %.bash,$(completions)); do \
	    install -m 644 $$f $(share)/bash-completion/completions/$$(basename $$f .bash) || exit 1; done
	for f in $(filter-out %.bash,$(completions)); do install -m 644 $$f $(share)/zsh/site-functions || exit 1; done

uninstall: ## remove what install put there
	rm -f $(bin)/pyrec $(bin)/pyanalyze
	rm -rf $(lib)
	rm -f $(addprefix $(share)/man/man1/,$(notdir $(man_pages)))
	rm -f $(addprefix $(share)/bash-completion/completions/,$(notdir $(basename $(filter %.bash,$(completions)))))
	rm -f $(addprefix $(share)/zsh/site-functions/,$(notdir $(filter-out %.bash,$(completions))))

clean: ## remove everything built
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

-include $(shell find $(obj) -name '*.d' 2>/dev/null)
