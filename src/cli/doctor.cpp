#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/open_store.h"
#include "errors.h"
#include "exit_codes.h"
#include "show/look.h"
#include "show/situation_json.h"
#include "util/output.h"

namespace cachify::cli {

namespace {

using store::Finding;
using Grade = Finding::Grade;

std::string_view name_of(Grade grade) noexcept {
  switch (grade) {
    case Grade::good:
      return "ok";
    case Grade::doubtful:
      return "warn";
    case Grade::bad:
      break;
  }
  return "bad";
}

show::Paint paint_of(Grade grade) noexcept {
  switch (grade) {
    case Grade::good:
      return show::Paint::good;
    case Grade::doubtful:
      return show::Paint::doubtful;
    case Grade::bad:
      break;
  }
  return show::Paint::bad;
}

std::string table_of(const std::vector<Finding>& findings) {
  constexpr size_t kGradeColumn = 6;
  // A finding is to be read, not to be cut.
  const show::Look look{std::nullopt, show::look_of_output().colour};
  std::string text;
  for (const Finding& finding : findings) {
    std::string grade(name_of(finding.grade));
    const std::string blanks(kGradeColumn - grade.size(), ' ');
    show::Line line{{std::move(grade), paint_of(finding.grade)}, {blanks + finding.text}};
    if (!finding.advice.empty()) line.push_back({" -> " + finding.advice, show::Paint::strong});
    text += show::rendered(line, look) + "\n";
  }
  return text;
}

// The store that would be used, looked at from outside and from inside.
class Examination {
 public:
  explicit Examination(const Settings& settings) : settings_(settings) {}

  // The code to end with.
  int run() {
    std::unique_ptr<store::Store> opened;
    try {
      // First of all: rediss:// goes on in another program from here.
      opened = open_store(settings_);
      shown_url = opened->shown_url();
    } catch (const UsageError&) {
      throw;
    } catch (const Error& failure) {
      look_around();
      findings.push_back(
          store::bad_finding(failure.what(), "put that right, or name another --store"));
      return failure.code();
    }
    look_around();
    for (Finding& finding : opened->examine()) findings.push_back(std::move(finding));
    return worst() == Grade::good ? kExitOk : worst() == Grade::bad ? code_of(*opened) : kExitNo;
  }

  std::vector<Finding> findings;
  std::string shown_url;  // empty: it could not be opened

 private:
  void look_around() {
    findings.push_back({Grade::good, "cachify " CACHIFY_VERSION, {}});
    std::string configuration = "no configuration file";
    if (!settings_.config_file.empty())
      configuration = "configuration file " + settings_.config_file + " is understood" +
                      (settings_.profile.empty() ? "" : ", profile " + settings_.profile);
    findings.push_back({Grade::good, configuration, {}});
    if (shown_url.empty()) return;
    const std::string origin =
        settings_.store_origin.empty() ? "" : " (from " + settings_.store_origin + ")";
    const std::string prefix = prefix_of(settings_);
    findings.push_back(
        {Grade::good,
         "store " + shown_url + origin + ", prefix " + (prefix.empty() ? "empty" : prefix),
         {}});
  }

  Grade worst() const noexcept {
    Grade result = Grade::good;
    for (const Finding& finding : findings) result = std::max(result, finding.grade);
    return result;
  }

  // Whether the bad finding keeps the store from answering at all.
  static int code_of(store::Store& store) {
    try {
      store.size(store::Kind::lock, "cachify-doctor");
      return kExitNo;
    } catch (const Error& failure) {
      return failure.code();
    }
  }

  const Settings& settings_;
};

class Doctor : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "doctor [OPTIONS]",
        "Checks the store that would be used, and leaves all keys as they are: a line for each "
        "finding, ok, warn (works, but something can go wrong) or bad, with what to do. Exits 0 "
        "when all is right, 1 when something is not, 69 when the store cannot be used at all.",
        {"cachify doctor", "cachify doctor --store redis://db.example:6379 --json"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Doctor");
    table.add(
        {0, "json", "", "Print an object; man cachify-status has its fields", into_switch(json_)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>&) override {
    Examination examination(settings);
    const int code = examination.run();
    util::write_output(json_ ? to_json(examination, settings, code)
                             : table_of(examination.findings));
    return {code, std::nullopt};
  }

 private:
  static std::string to_json(const Examination& examination, const Settings& settings, int code) {
    using Json = nlohmann::ordered_json;
    const auto or_null = [](const std::string& text) {
      return text.empty() ? Json(nullptr) : Json(text);
    };
    Json object = {{"ok", code == kExitOk},
                   {"version", CACHIFY_VERSION},
                   {"store", or_null(examination.shown_url)},
                   {"prefix", prefix_of(settings)},
                   {"config", or_null(settings.config_file)},
                   {"profile", or_null(settings.profile)}};
    Json& findings = object["findings"] = Json::array();
    for (const Finding& finding : examination.findings) {
      findings.push_back({{"grade", name_of(finding.grade)},
                          {"text", finding.text},
                          {"advice", or_null(finding.advice)}});
    }
    return show::json_line(object);
  }

  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_doctor() {
  return std::make_unique<Doctor>();
}

}  // namespace cachify::cli
