#include "text/languages.h"

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::text {
namespace {

constexpr std::string_view kM2m100 =
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu "
    "ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr "
    "ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr "
    "uk ur uz vi wo xh yi yo zh zu";

constexpr std::string_view kWmt21 = "en ha is ja cs ru zh de";

constexpr std::string_view kNllb =
    "ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab "
    "arb_Arab ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn "
    "bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt "
    "bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn "
    "dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn "
    "ewe_Latn fao_Latn pes_Arab fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gla_Latn "
    "gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn "
    "hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kab_Latn "
    "kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor knc_Arab knc_Latn kaz_Cyrl kbp_Latn "
    "kea_Latn khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kon_Latn kor_Hang kmr_Latn lao_Laoo "
    "lvs_Latn lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn "
    "luo_Latn lus_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl plt_Latn mlt_Latn "
    "mni_Beng khk_Cyrl mos_Latn mri_Latn zsm_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva "
    "nso_Latn nus_Latn nya_Latn oci_Latn gaz_Latn ory_Orya pag_Latn pan_Guru pap_Latn pol_Latn "
    "por_Latn prs_Arab pbt_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng "
    "scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn "
    "spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml "
    "tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi taq_Latn taq_Tfng tpi_Latn tsn_Latn "
    "tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab "
    "uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans "
    "zho_Hant zul_Latn";

constexpr std::string_view kMbart =
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT "
    "lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN";

// The languages that mBART-50 has and mBART-25 has not.
constexpr std::string_view kMbart50More =
    "af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF "
    "pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI";

std::vector<LanguageConvention> MakeConventions() {
  static const std::string kMbart50 = StrCat(kMbart, " ", kMbart50More);
  return {
      {.tokenizer_class = "M2M100Tokenizer",
       .codes = kM2m100,
       .mark = "__",
       .default_source = "en"},
      {.tokenizer_class = "NllbTokenizer", .codes = kNllb, .default_source = "eng_Latn"},
      {.tokenizer_class = "MBartTokenizer",
       .codes = kMbart,
       .default_source = "en_XX",
       .source_last = true,
       .starts_decoder = true},
      {.tokenizer_class = "MBart50Tokenizer", .codes = kMbart50, .default_source = "en_XX"},
      // The option language_codes of M2M100Tokenizer selects this.
      {.tokenizer_class = "wmt21", .codes = kWmt21, .mark = "__", .default_source = "en"},
      // The option legacy_behaviour of NllbTokenizer selects this.
      {.tokenizer_class = "legacy",
       .codes = kNllb,
       .default_source = "eng_Latn",
       .source_last = true},
  };
}

}  // namespace

std::vector<std::string> LanguageConvention::Codes() const { return Split(codes, ' '); }

const LanguageConvention* FindLanguageConvention(const TokenizerConfig& config) {
  static const std::vector<LanguageConvention> kConventions = MakeConventions();
  const JsonObject object = config.object();
  std::string name = config.ClassName();
  if (name == "M2M100Tokenizer") {
    const std::string codes = object.GetString("language_codes", "m2m100");
    if (codes != "m2m100" && codes != "wmt21") {
      throw InputError(object.PathOf("language_codes"), " is ", Quoted(codes),
                       "; expected 'm2m100' or 'wmt21'");
    }
    if (codes == "wmt21") name = codes;
  }
  if (name == "NllbTokenizer" && object.GetBool("legacy_behaviour", false)) name = "legacy";
  for (const LanguageConvention& convention : kConventions) {
    if (convention.tokenizer_class == name) return &convention;
  }
  return nullptr;
}

LanguageSet::LanguageSet(const LanguageConvention& convention, const TokenizerConfig& config,
                         const FindToken& find)
    : source_last_(convention.source_last), starts_decoder_(convention.starts_decoder) {
  const std::string_view mark = convention.mark;
  std::vector<std::string> codes = convention.Codes();
  for (const std::string& token : config.GetAdditionalSpecialTokens()) {
    std::string_view code = token;
    if (code.size() <= 2 * mark.size() || !code.starts_with(mark) || !code.ends_with(mark))
      continue;
    code = code.substr(mark.size(), code.size() - 2 * mark.size());
    const bool other = code.starts_with('<') || code.starts_with('[');  // <mask> and the like
    if (!other && std::find(codes.begin(), codes.end(), code) == codes.end()) {
      codes.emplace_back(code);
    }
  }
  for (const std::string& code : codes) {
    if (const std::optional<int64_t> id = find(convention.Token(code)))
      ids_.emplace_back(code, *id);
  }
  if (empty()) return;
  source_id_ = Choose("--source-language", config.languages.source, "src_lang", config);
  for (const auto& [code, id] : ids_) {
    if (!source_id_ && code == convention.default_source) source_id_ = id;
  }
  target_id_ = Choose("--target-language", config.languages.target, "tgt_lang", config);
  target_is_chosen_ = !config.languages.target.empty();
}

std::optional<int64_t> LanguageSet::Choose(const std::string& option, const std::string& chosen,
                                           const std::string& key,
                                           const TokenizerConfig& config) const {
  const JsonObject object = config.object();
  const std::string code = chosen.empty() ? object.GetString(key, "") : chosen;
  if (code.empty()) return std::nullopt;
  for (const auto& [known, id] : ids_) {
    if (known == code) return id;
  }
  if (!chosen.empty()) throw UsageError(option, ": ", NotALanguage(code, Codes()));
  throw InputError(object.PathOf(key), ": ", NotALanguage(code, Codes()));
}

std::vector<std::string> LanguageSet::Codes() const {
  std::vector<std::string> codes;
  for (const auto& [code, id] : ids_) codes.push_back(code);
  return codes;
}

TokenTemplate LanguageSet::Source(int64_t eos_id) const {
  if (!source_id_) throw MissingLanguage("--source-language", Codes());
  TokenTemplate out =
      source_last_ ? AroundEach({}, {eos_id, *source_id_}) : AroundEach({*source_id_}, {eos_id});
  // A pair is one text to such a model.
  out.pair = out.single;
  out.pair.insert(out.pair.begin() + (source_last_ ? 1 : 2),
                  TemplateItem{TemplateItem::Kind::kSecond});
  return out;
}

std::vector<TemplateItem> LanguageSet::Target(const EncodeOptions& options, int64_t eos_id) const {
  std::vector<TemplateItem> out;
  const int64_t id = RequireTarget();
  if (!starts_decoder_) out.push_back({TemplateItem::Kind::kToken, id});
  out.push_back({TemplateItem::Kind::kFirst});
  if (options.add_special_tokens) out.push_back({TemplateItem::Kind::kToken, eos_id});
  return out;
}

void LanguageSet::Begin(TargetStart& start) const {
  int64_t& place = starts_decoder_ ? start.decoder_start_id : start.forced_first_id;
  const bool there = std::any_of(ids_.begin(), ids_.end(),
                                 [&](const auto& entry) { return entry.second == place; });
  // A model that was trained for one target says so in its configuration.
  if (!there || target_is_chosen_) place = RequireTarget();
}

int64_t LanguageSet::RequireTarget() const {
  if (!target_id_) throw MissingLanguage("--target-language", Codes());
  return *target_id_;
}

std::string NotALanguage(const std::string& code, const std::vector<std::string>& codes) {
  return StrCat(Quoted(code), " is not one of this tokenizer's languages", DidYouMean(code, codes),
                ": ", Join(codes, " "));
}

Error MissingLanguage(const std::string& option, const std::vector<std::string>& codes) {
  return UsageError("the tokenizer has ", codes.size(), " languages and none is chosen; give ",
                    option, ", one of ", Join(codes, " "));
}

}  // namespace moefy::text
