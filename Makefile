PYTHON ?= python3
PROFILE ?= tiny
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help workshop electives test lab lint clean bundle learner slides

# In a bundle (make bundle) packages come from wheels/ and the model from hub/; nothing asks the network.
BUNDLE := $(wildcard wheels)
ifneq ($(wildcard hub),)
export HF_HUB_CACHE := $(CURDIR)/hub
export HF_HUB_OFFLINE := 1
endif

include configs/environment.mk

help:
	@echo "make workshop  노트북 일곱 개를 실행합니다 (PROFILE=rtx4090 또는 t4, FROM=03, JOBS=1)"
	@echo "make electives 하루 뒤에 골라 하는 선택 노트북을 실행합니다 (PROFILE, FROM=10)"
	@echo "make test      테스트를 모두 실행합니다"
	@echo "make lab       JupyterLab을 엽니다"
	@echo "make lint      코드와 노트북의 형식을 검사합니다"
	@echo "make learner   수강생판과 강사판 노트북을 만듭니다"
	@echo "make slides    실행한 노트북으로 슬라이드를 만듭니다"
	@echo "make bundle    네트워크 없는 교실에 가져갈 폴더를 만듭니다"
	@echo "make clean     실행 결과와 캐시를 지웁니다"

workshop: .venv/.installed
	@WORKSHOP_PROFILE=$(PROFILE) $(PY) -m src.classroom.run $(if $(FROM),--from $(FROM)) $(if $(JOBS),--jobs $(JOBS))

electives: .venv/.installed-electives
	@WORKSHOP_PROFILE=$(PROFILE) $(PY) -m src.classroom.run --electives $(if $(FROM),--from $(FROM))

# Two workers with one thread each: the models are too small for a second thread to pay.
test: .venv/.installed-electives .venv/.installed-dev
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Without PROFILE=… the choice made in notebook 00.01 counts.
lab: .venv/.installed
	@$(if $(filter-out file default,$(origin PROFILE)),WORKSHOP_PROFILE=$(PROFILE)) $(PY) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

lint: .venv/.installed
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

# Without make workshop there is nothing to make slides of.
slides: .venv/.installed
	@WORKSHOP_PROFILE=$(PROFILE) $(PY) -m src.classroom.slides

learner: .venv/.installed
	@$(PY) -m src.classroom.editions

bundle: .venv/.installed
	@WORKSHOP_PROFILE=$(PROFILE) $(PY) -m src.classroom.bundle make

clean:
	rm -rf outputs .pytest_cache .ruff_cache .hypothesis && find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

.venv/.installed-electives: .venv/.installed requirements-electives.txt
	@$(PY) -m pip install -q --disable-pip-version-check $(if $(BUNDLE),--no-index --find-links wheels) -r requirements-electives.txt -c constraints.txt || { \
		echo "선택 노트북에 쓸 패키지를 설치하지 못했어요. 인터넷 연결을 확인한 뒤 같은 명령을 다시 실행해 주세요."; exit 1; }
	@touch $@

# Where these cannot be had (no network), their tests are left out, and the last lines of make test say so.
.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@$(PY) -m pip install -q --disable-pip-version-check $(if $(BUNDLE),--no-index --find-links wheels) -r requirements-dev.txt -c constraints.txt && touch $@ \
		|| echo "브라우저와 대화 페이지, 허브의 테스트에 쓸 패키지를 설치하지 못해 그 테스트는 빼고 실행합니다."

# The stamp is written last: an installation that broke off is taken up again, a complete one is not repeated.
.venv/.installed: requirements.txt constraints.txt pyproject.toml
	@rm -f $@
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "파이썬 3.11 이상이 필요해요. 지금 찾은 것: $$($(PYTHON) --version 2>&1)"; \
		echo "3.11 이상을 설치하고 다시 실행해 주세요. 예: make workshop PYTHON=python3.12"; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv || { \
		echo "가상 환경을 만들지 못했어요. 데비안·우분투라면: sudo apt install python3-venv"; exit 1; }
	@$(if $(BUNDLE),$(PYTHON) -m src.classroom.bundle verify .)
	@echo "패키지를 설치합니다. 처음 한 번, 몇 분 걸려요."
	@$(PY) -m pip install -q --disable-pip-version-check $(if $(BUNDLE),--no-index --find-links wheels) -r requirements.txt -c constraints.txt || { \
		echo "설치하지 못했어요. 위의 메시지와 인터넷 연결, 디스크 공간을 확인한 뒤 같은 명령을 다시 실행해 주세요."; exit 1; }
	@mkdir -p .venv/share/jupyter/lab/settings
	@cp configs/jupyterlab_overrides.json .venv/share/jupyter/lab/settings/overrides.json  # no English pop-up about news
	@touch $@
